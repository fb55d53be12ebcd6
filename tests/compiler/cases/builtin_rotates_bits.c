int printf(const char *, ...);
static unsigned rol(unsigned x, int n) { return x << (n & 31) | x >> (-n & 31); }
static unsigned long ror(unsigned long x, int n) { return x >> (n & 63) | x << (-n & 63); }
int main(void) {
    for (int i = 0; i < 32; i += 7) printf("%x %lx\n", rol(0x80000013, i), ror(0x123456789abcdef0, i * 2));
    unsigned long v = 0xf00f0; 
    printf("%d %d %d %d\n", __builtin_clzl(v), __builtin_ctzl(v), __builtin_popcountl(v), __builtin_ffsl(v));
    printf("%d %d %d\n", __builtin_parity(7), __builtin_clz(1), __builtin_ffs(0));
    printf("%x %x %lx\n", __builtin_bswap16(0x1234), __builtin_bswap32(0x12345678), (unsigned long)__builtin_bswap64(0x0102030405060708));
    return 0;
}
