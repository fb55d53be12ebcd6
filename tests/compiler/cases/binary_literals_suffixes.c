int printf(const char *, ...);
int main(void) {
    printf("%d %d %lu %llu\n", 0b1011, 0B1, sizeof 0b1l, 0b11ull << 40);
    printf("%lu %lu %lu %lu\n", sizeof 1, sizeof 1u, sizeof 1lu, sizeof 1LLU);
    printf("%lu %lu %lu\n", sizeof 2147483648, sizeof 0x80000000, sizeof 037777777777);
    printf("%d %d\n", -1 < 0u, -1 < 0x7fffffff);
    printf("%d %d\n", 0777, 010 + 08.0 == 16);
    return 0;
}
