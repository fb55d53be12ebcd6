int printf(const char *, ...);
int main(void) {
    volatile int n = 31; volatile long big = 40; volatile unsigned char uc = 3; volatile signed char sc = 2;
    printf("%d %u %d\n", 1 << 4, 1u << n, -8 >> 1);
    printf("%ld %lx\n", 1L << big, -1L >> 60);
    printf("%lx %lx\n", -1UL >> big, 0xfUL << big);
    printf("%d %d\n", uc << uc, -100 >> sc);
    printf("%u\n", 0x80000000u >> n);
    int x = -1; x >>= 3; printf("%d\n", x);
    x = 1; x <<= (long)5; printf("%d\n", x);
    short s = -300; s >>= 2; printf("%d\n", s); s <<= 3; printf("%d\n", s);
    unsigned char b = 0x81; b >>= 1; printf("%d\n", b); b = 0x81; b <<= 1; printf("%d\n", b);
    long l = 1; l <<= 62; printf("%ld\n", l); l >>= 61; printf("%ld\n", l);
    printf("%zu\n", sizeof((char)1 << 1L));
    printf("%d\n", 1 << 2 << 3 >> 1);
    return 0;
}
