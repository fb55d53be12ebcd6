int printf(const char *, ...);
int main(void) {
    volatile unsigned u = 0x00f0;
    volatile unsigned long l = 0x100000000UL;
    volatile int i = -5;
    printf("%d %d %d %d\n", __builtin_ctz(u), __builtin_clz(u), __builtin_popcount(u), __builtin_parity(u));
    printf("%d %d %d %d\n", __builtin_ctzl(l), __builtin_clzl(l), __builtin_popcountl(l), __builtin_ffsl(l));
    printf("%d %d %d %d\n", __builtin_ctzll(l), __builtin_clzll(l), __builtin_popcountll(l), __builtin_ffs(u));
    printf("%d %d\n", __builtin_ffs(0), __builtin_ffsll(0));
    printf("%x %x %lx\n", __builtin_bswap16(0x1234), __builtin_bswap32(u), __builtin_bswap64(l));
    printf("%d %ld\n", __builtin_abs(i), __builtin_labs((long)i));
    printf("%d %d %d\n", __builtin_ctz(8), __builtin_clz(1), __builtin_popcount(-1));
    static int k = __builtin_popcount(0xff) + __builtin_ctz(16);
    printf("%d %d\n", k, __builtin_ffs(12));
    printf("%d\n", __builtin_bswap16(u) > 0);
    printf("%d\n", __builtin_popcountl(-1));
    return 0;
}
