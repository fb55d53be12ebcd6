#include <stdarg.h>
int printf(const char *, ...);
int vprintf(const char *, va_list);
int vsnprintf(char *, unsigned long, const char *, va_list);
static long sum(int n, ...) {
    va_list ap;
    long s = 0;
    va_start(ap, n);
    for (int i = 0; i < n; i++)
        s += va_arg(ap, int);
    va_end(ap);
    return s;
}
static double fsum(int n, ...) {
    va_list ap, cp;
    va_start(ap, n);
    va_copy(cp, ap);
    double s = 0;
    while (n--)
        s += va_arg(ap, double);
    s += va_arg(cp, double);
    va_end(ap);
    va_end(cp);
    return s;
}
static void say(const char *f, ...) {
    va_list ap;
    va_start(ap, f);
    vprintf(f, ap);
    va_end(ap);
}
static void mixed(const char *k, ...) {
    va_list ap;
    va_start(ap, k);
    for (; *k; k++)
        switch (*k) {
        case 'i':
            printf("%d ", va_arg(ap, int));
            break;
        case 'd':
            printf("%g ", va_arg(ap, double));
            break;
        case 's':
            printf("%s ", va_arg(ap, char *));
            break;
        case 'l':
            printf("%ld ", va_arg(ap, long));
            break;
        case 'c':
            printf("%c ", va_arg(ap, int));
        }
    va_end(ap);
    printf("\n");
}
static int nested(va_list ap, int n) {
    int s = 0;
    while (n--)
        s += va_arg(ap, int);
    return s;
}
static int outer(int n, ...) {
    va_list ap;
    va_start(ap, n);
    int a = nested(ap, n - 1);
    int b = va_arg(ap, int);
    va_end(ap);
    return a * 100 + b;
}
struct p {
    int x, y;
};
struct big {
    long a[5];
};
static int structs(int n, ...) {
    va_list ap;
    va_start(ap, n);
    struct p p = va_arg(ap, struct p);
    struct big b = va_arg(ap, struct big);
    int l = va_arg(ap, int);
    va_end(ap);
    return p.x * 1000 + p.y * 100 + b.a[4] * 10 + l;
}
int main(void) {
    printf("%ld %ld\n", sum(3, 1, 2, 3), sum(10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
    printf("%f %f\n", fsum(2, 1.5, 2.5), fsum(10, 1., 2., 3., 4., 5., 6., 7., 8., 9., 10.5));
    say("%d %s %f %c %lu\n", 1, "two", 3.5, '4', 5ul);
    mixed("idslcidididididididsl", 1, 2.5, "x", 4L, 'c', 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5, "end", -1L);
    printf("%d\n", outer(4, 1, 2, 3, 4));
    char b[32];
    float f = 1.25f;
    char c = -3;
    short s = 300;
    unsigned char u = 255;
    printf("%f %d %d %d\n", f, c, s, u);
    struct p p = {1, 2};
    struct big g = {{0, 0, 0, 0, 3}};
    printf("%d\n", structs(0, p, g, 4));
    (void)b;
    return 0;
}
