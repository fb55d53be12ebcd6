int printf(const char *, ...);
int main(void) {
    unsigned char a = 200, b = 100;
    signed char c = -1;
    unsigned short s = 65535;
    printf("%d %d %d\n", a + b, a * b, a - b * 3);
    printf("%d %d\n", ~a, -a);
    printf("%d\n", s * 2);
    printf("%d %d\n", c < 1u, c < (unsigned short)1);
    printf("%d %d\n", -1 < 1u, -1L < 1u);
    printf("%d\n", (unsigned char)(a + b));
    printf("%zu %zu %zu\n", sizeof(a + b), sizeof(a << 1L), sizeof(c ? a : 1L));
    a += 100;
    printf("%d\n", a);
    c -= 128;
    printf("%d\n", c);
    b <<= 2;
    printf("%d\n", b);
    b >>= 1;
    printf("%d\n", b);
    printf("%d\n", (a ^ 0xff) >> 1);
    printf("%d\n", 'a' + (char)200);
    _Bool t = 1;
    t += t;
    printf("%d\n", t + t);
    return 0;
}
