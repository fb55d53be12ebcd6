int printf(const char *, ...);
static int a = 7 / -2, b = -7 % 3, c = 1 << 31 >> 31, d = ~0u >> 28, e = (char)200, f = (unsigned char)-1;
static long g = -1u, h = 0x7fffffff + 0L + 1, i = (short)0x18000, j = 3 > 2 && 1 || 0, k = sizeof(char[3][5]);
static double l = 1 / 3, m = 1 / 3., n = (float)0.1;
static unsigned char o[(int)2.9 + !0];
int main(void) {
    printf("%d %d %d %d %d %d\n", a, b, c, d, e, f);
    printf("%ld %ld %ld %ld %ld\n", g, h, i, j, k);
    printf("%g %.9g %.12g %zu\n", l, m, n, sizeof o);
    return 0;
}
