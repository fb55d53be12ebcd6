#include <stdio.h>
static long double half(long double x) { return x / 2; }
struct s {
    char c;
    long double d;
} g = {1, 2.5L};
int main(void) {
    long double a = 1.5L, b = a * 2 + 1;
    printf("%Lf %Lf %zu %zu\n", a, b, sizeof a, sizeof(struct s));
    printf("%Lf %d %f\n", half(b), (int)b, (double)b);
    b += 1;
    b /= 3;
    printf("%.10Lf\n", b);
    printf("%d %d\n", a < b, a == 1.5L);
    printf("%Lf\n", g.d);
    long double arr[2] = {1, 2.25L};
    printf("%Lf\n", arr[1]);
    a = 5;
    a++;
    printf("%Lf ", a--), printf("%Lf\n", -a);
    printf("%d\n", a ? 1 : 0);
    static long double st = 0.5L;
    printf("%Lf\n", st);
    float f = a;
    unsigned u = a;
    printf("%f %u\n", f, u);
    printf("%Lf\n", 1.0L / 4);
    return 0;
}
