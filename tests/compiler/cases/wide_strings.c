int printf(const char *, ...);
typedef int wc;
typedef unsigned short c16;
typedef unsigned c32;
int main(void) {
    wc w[] = L"hé\x1234"
             L"z";
    for (unsigned i = 0; i < sizeof w / sizeof *w; i++)
        printf("%x ", w[i]);
    c16 u[] = u"a😀";
    for (unsigned i = 0; i < sizeof u / sizeof *u; i++)
        printf("%x ", u[i]);
    c32 x[] = U"😀b";
    for (unsigned i = 0; i < sizeof x / sizeof *x; i++)
        printf("%x ", x[i]);
    printf("\n%d %d %d %zu\n", L'é', u'x', (int)U'😀', sizeof L"abc");
    const char *p = u8"é";
    printf("%zu %d\n", sizeof u8"é", (unsigned char)p[0]);
    printf("%zu %d\n",
           sizeof(L"a"
                  "bc"),
           ("x"
            L"y")[1]);
    const wc *q = L"ptr";
    printf("%c%c\n", q[0], q[2]);
    static wc st[8] = L"st";
    printf("%d %d\n", st[1], st[5]);
    return 0;
}
