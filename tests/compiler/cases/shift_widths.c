int printf(const char *, ...);
int main(void) {
    unsigned char c = 0x90; signed char s = -0x70; unsigned short us = 0x8001; int i = -8; unsigned u = 0x80000001; long l = -1L << 40; unsigned long ul = 1;
    printf("%d %d %d %d\n", c << 1, s >> 2, us << 1, us >> 15); printf("%d %u %u %ld\n", i >> 1, u >> 31, u << 4, l >> 38);
    c <<= 1; s >>= 1; us >>= 3; printf("%d %d %d\n", c, s, us); printf("%lx %lx\n", ul << 63, ~ul >> 1); for (char k = 0; k < 64; k += 21) printf("%lx ", 0xabcdeful << k);
    printf("%zu %zu\n", sizeof(c << 1L), sizeof(1L << c));
    return 0;
}
