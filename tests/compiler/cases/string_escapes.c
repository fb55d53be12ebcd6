int printf(const char *, ...);
int main(void) {
    char s[] = "a\tb\n\\\"\'\?\a\b\f\v\r\e\0x\101\x41\x7f\377\1\12z";
    for (unsigned i = 0; i < sizeof s; i++)
        printf("%d ", s[i]);
    printf("\n%s %s %s\n",
           "con"
           "cat"
           "en",
           "x" /* c */ "y",
           "\x41"
           "B");
    printf("%zu %zu\n", sizeof "", sizeof "a\0b");
    printf("%d %d %d %d %d\n", 'a', '\n', '\0', '\xff', '\377');
    printf("%d %d\n", 'ab', 'abcd');
    printf("%c%c\n", "hello"[1], 2 ["hello"]);
    printf("%s\n", "tri\
graph");
    const char *u = "\u00e9\U0001F600é";
    while (*u)
        printf("%02x", (unsigned char)*u++);
    printf("\n%d\n", '\\');
    char t[3] = "abc", z[6] = "ab";
    printf("%c %d %d\n", t[2], z[2], z[5]);
    char e[] = {"brace"};
    printf("%zu\n", sizeof e);
    printf("%%|%5d|%-5d|%05d|%x|%X|%o|%c|%s|%p\n", 42, 42, 42, 255, 255, 8, 'c', "str", (void *)0);
    return 0;
}
