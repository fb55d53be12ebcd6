int printf(const char *, ...);
int main(void) {
    signed char sc = -1; unsigned char uc = 255; short s = -1; unsigned short us = 65535; int i = -1; unsigned u = ~0u; long l = -1; unsigned long ul = ~0ul;
    printf("%d%d%d%d%d\n", sc == uc, sc == (char)uc, s == us, i == u, i == us);
    printf("%d%d%d%d%d\n", u == l, u == ul, l == ul, i == ul, uc > sc);
    printf("%d%d%d%d\n", i < u, l < u, s < us, (unsigned)s < us); printf("%d%d\n", -1L < 1u, -1 < 1ul);
    printf("%d %d\n", sizeof(int) > -1, (int)sizeof(int) > -1); printf("%d %ld\n", uc + sc, u + l);
    return 0;
}
