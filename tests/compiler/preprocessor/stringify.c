#define s(x) #x
s( "a\n" 'b"' "\"" ) s(a   b
c) s(a/**/b) s() s(@ ) s(<:) s( \ ) s('\0') s(L"x\y") s(a+b) s(a + b) s(
  x
)
