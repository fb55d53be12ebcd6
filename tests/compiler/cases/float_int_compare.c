int printf(const char *, ...);
int main(void) {
    float f = 16777216; int i = 16777217; unsigned u = 4000000000u; long l = -3; double d = -0.0, n = __builtin_nan("");
    printf("%d %d %d\n", f == i, (double)i == f, u > 3.9e9f);
    printf("%d %d %d\n", l < -2.5, d == 0, !d); printf("%d %d %d %d\n", n == n, n != n, n < 1, !(n >= 1));
    printf("%d %d %d\n", n ? 1 : 0, 0.1 + 0.2 == 0.3, 0.1f + 0.2f == 0.3f); printf("%g %g\n", 7 / 2 * 2., 7 / 2. * 2);
    int t = 10; t *= 1.55; printf("%d ", t); t -= .5; printf("%d ", t); t /= 0.3; printf("%d\n", t);
    return 0;
}
