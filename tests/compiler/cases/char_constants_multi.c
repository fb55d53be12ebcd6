int printf(const char *, ...);
int main(void) {
    printf("%d %d %d\n", 'ab', 'abcd', '\377');
    printf("%d %d %d %d\n", '\0', '\x41', '\'', '"');
    printf("%d %d %zu %zu\n", L'a', L'\x3b1', sizeof 'a', sizeof L'a');
    printf("%d %d\n", '\a' + '\b' + '\f' + '\v', '\e');
    printf("%d %zu\n", u'\u20ac', sizeof u'a');
    return 0;
}
