int printf(const char *, ...);
int main(void) {
    int v[] = {7, -7, 1, -1, 100, -100}; for (int i = 0; i < 6; i++) for (int j = 0; j < 4; j++) printf("%d,%d ", v[i] / v[j], v[i] % v[j]);
    long big = -9223372036854775807L; printf("\n%ld %ld %ld\n", big / 10, big % 10, big / -3); unsigned long u = -7; printf("%lu %lu\n", u / 2, u % 1000);
    signed char c = -100; c /= 3; printf("%d ", c); c %= 10; printf("%d\n", c); unsigned short s = 65535; s /= -1; printf("%d\n", s); for (int i = -9; i < 10; i += 3) printf("%d %d ", i / 8, i % 8);
    return 0;
}
