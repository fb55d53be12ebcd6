int x = 'a'; wchar_t y = L'\''; char *s = "/* no */ // no", *t = "a\
b"; /\
* comment *\
/ done /\
/ line comment \
continues
end
