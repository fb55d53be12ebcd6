int printf(const char *, ...);
struct p {
    int x, y;
};
struct s {
    char n[4];
    struct p p[2];
    int *q;
    unsigned a : 3, b : 5;
};
static int k;
static int next(void) { return ++k; }
int main(int argc, char **argv) {
    int v = 5;
    struct s s = {"abc", {{next(), next()}, {argc, v}}, &v, 5, 17};
    printf("%s %d %d %d %d %d %u %u\n", s.n, s.p[0].x, s.p[0].y, s.p[1].x, s.p[1].y, *s.q, s.a, s.b);
    int a[3][2] = {{next()}, {v, v + 1}};
    printf("%d %d %d %d\n", a[0][0], a[0][1], a[1][1], a[2][0]);
    struct s z = {};
    printf("%d %d %d\n", z.n[0], z.p[1].y, z.q == 0);
    struct s t = {.p = {[1] = {.y = v}}, .b = v};
    printf("%d %u\n", t.p[1].y, t.b);
    for (int i = 0; i < 3; i++) {
        int w[4] = {i, [2] = i * 2};
        printf("%d%d%d%d ", w[0], w[1], w[2], w[3]);
        w[1] = w[3] = 9;
    }
    struct p ps[] = {{1, 2}, s.p[1], {.y = v}};
    printf("%zu %d %d\n", sizeof ps / sizeof *ps, ps[1].x, ps[2].y);
    char b[] = {'o', 'k', 0}, e[8] = {0};
    printf("%s %d\n", b, e[7]);
    union {
        int i;
        char c[4];
    } u = {.c = {1, 2}};
    printf("%x\n", u.i);
    const char *names[3] = {argv[0] ? "has" : "no", [2] = "z"};
    printf("%s %d\n", names[0], names[1] == 0);
    int big[50] = {1, 2, 3};
    int sum = 0;
    for (int i = 0; i < 50; i++)
        sum += big[i];
    printf("%d\n", sum);
    return 0;
}
