int printf(const char *, ...);
int main(void) {
    printf("%d %d %d %d %d\n", 10, 010, 0x10, 0b101, 0B11);
    printf("%lu %ld %llu\n", 1ul, 2L, 3uLL);
    printf("%zu %zu %zu %zu %zu\n", sizeof 2147483647, sizeof 2147483648, sizeof 0x7fffffff, sizeof 0xffffffff,
           sizeof 0x100000000);
    printf("%zu %zu\n", sizeof 1u, sizeof 4294967296u);
    printf("%d %d\n", -2147483647 - 1, 0x80000000 == 2147483648);
    printf("%llu %lx\n", 18446744073709551615ull, 0xffffffffffffffff);
    printf("%d\n", 0xffffffff < 0);
    printf("%d\n", -1 > 0xffffffff);
    printf("%d %d\n", '\0', '\x7f');
    printf("%ld\n", 0x7fffffffffffffff);
    printf("%d\n", 0);
    printf("%g %g %g %g\n", 1., .5, 1e3, 0x1p4);
    printf("%g %g\n", 1.5f, 2.5e-1F);
    printf("%d\n", (int)1e3);
    return 0;
}
