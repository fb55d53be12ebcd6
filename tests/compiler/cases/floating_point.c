int printf(const char *, ...);
double sqrt(double);
double pow(double, double);
float fabsf(float);
static float ff(float a, double b) { return a * b; }
static double dd(int n, ...) { return n; }
int main(void) {
    double a = 1.1, b = 2.2;
    float c = 3.3f, d = 0x1.8p3f;
    printf("%f %f %f %f %f\n", a + b, a - b, a * b, a / b, -a);
    printf("%f %f %f\n", c + d, c * 2, d / 3);
    printf("%g %g %g %g\n", 1e10, 1e-5, 0.1 + 0.2, 1. / 3);
    printf("%.17g %.9g\n", 0.1, 0.1f);
    printf("%d %d %d %d\n", a < b, a == 1.1, c == 3.3, a != b);
    printf("%f %f\n", sqrt(2), pow(2, 10));
    printf("%f\n", fabsf(-2.5f));
    printf("%f\n", ff(2, 3));
    printf("%zu %zu %zu %zu\n", sizeof 1.0, sizeof 1.0f, sizeof(1.0f * 1), sizeof(c + a));
    double z = 0, inf = 1 / z, nan = z / z;
    printf("%f %f %d %d %d %d\n", inf, -inf, nan == nan, nan != nan, nan < 1, !(nan >= 1));
    printf("%d %d\n", nan ? 1 : 0, -0.0 ? 1 : 0);
    printf("%f %f\n", -z, 0.0 - z);
    printf("%d\n", !a + !z);
    printf("%a %a\n", a, 0x1p-1074);
    printf("%f %f\n", 1e308 * 10, .5e-3);
    printf("%f\n", 5 / 2 + 5 / 2.0 + 5 / 2.0f);
    float s = 0;
    for (int i = 0; i < 100; i++)
        s += 0.1f;
    printf("%.9g\n", s);
    printf("%d\n", 0.1f + 0.2f == 0.3f);
    printf("%f\n", dd(3));
    a = b = c = 1.7;
    printf("%f %f\n", a, c);
    printf("%d\n", a && b || 0.0);
    if (0.3)
        printf("t\n");
    while (a > 0.5)
        a /= 2;
    printf("%f\n", a);
    const double k[] = {1, 2.5f, 3L, 'a'};
    printf("%f %f\n", k[1], k[3]);
    static float st = 1.0 / 3;
    printf("%.9g\n", st);
    return 0;
}
