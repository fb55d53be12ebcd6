int printf(const char *, ...);
typedef struct {
    double m[2][2];
} mat;
static mat mul(mat a, mat b) {
    mat r = {{{0}}};
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++)
            for (int k = 0; k < 2; k++)
                r.m[i][j] += a.m[i][k] * b.m[k][j];
    return r;
}
static mat power(mat a, int n) {
    mat r = {{{1, 0}, {0, 1}}};
    for (; n; n >>= 1, a = mul(a, a))
        if (n & 1)
            r = mul(r, a);
    return r;
}
static double newton(double x) {
    double r = x;
    for (int i = 0; i < 20; i++)
        r = (r + x / r) / 2;
    return r;
}
static float horner(const float *c, int n, float x) {
    float r = 0;
    while (n--)
        r = r * x + c[n];
    return r;
}
struct v3 {
    float x, y, z;
};
static struct v3 cross(struct v3 a, struct v3 b) {
    return (struct v3){a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
static double integrate(double (*f)(double), double a, double b) {
    double s = 0, h = (b - a) / 1000;
    for (int i = 0; i < 1000; i++)
        s += f(a + (i + .5) * h) * h;
    return s;
}
static double sq(double x) { return x * x; }
int main(void) {
    mat f = power((mat){{{1, 1}, {1, 0}}}, 50);
    printf("%.0f\n", f.m[0][1]);
    printf("%.12f\n", newton(2));
    float c[] = {1, -2, 0.5f, 3};
    printf("%g\n", horner(c, 4, 1.5f));
    struct v3 v = cross((struct v3){1, 2, 3}, (struct v3){4, 5, 6});
    printf("%g %g %g\n", v.x, v.y, v.z);
    printf("%.6f\n", integrate(sq, 0, 3));
    return 0;
}
