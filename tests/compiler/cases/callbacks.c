int printf(const char *, ...);
typedef struct ctx {
    int sum;
    void (*visit)(struct ctx *, int);
    struct ctx *outer;
} ctx;
static void add(ctx *c, int v) { c->sum += v; }
static void both(ctx *c, int v) {
    c->sum += v * 2;
    if (c->outer)
        c->outer->visit(c->outer, v);
}
static void each(const int *a, int n, ctx *c) {
    for (int i = 0; i < n; i++)
        c->visit(c, a[i]);
}
typedef int (*binop)(int, int);
static int add2(int a, int b) { return a + b; }
static int mul2(int a, int b) { return a * b; }
static int fold(binop f, int z, const int *a, int n) { return n ? fold(f, f(z, *a), a + 1, n - 1) : z; }
static binop choose(const char *s) {
    static const struct {
        char k;
        binop f;
    } t[] = {{'+', add2}, {'*', mul2}};
    for (unsigned i = 0; i < sizeof t / sizeof *t; i++)
        if (t[i].k == *s)
            return t[i].f;
    return 0;
}
struct vt {
    const char *(*name)(void);
    int (*area)(const void *);
};
struct shape {
    const struct vt *vt;
    int w, h;
};
static const char *sqn(void) { return "square"; }
static int sqa(const void *s) { return ((const struct shape *)s)->w * ((const struct shape *)s)->w; }
static const char *ren(void) { return "rect"; }
static int rea(const void *s) {
    const struct shape *r = s;
    return r->w * r->h;
}
static const struct vt vts[] = {{sqn, sqa}, {.area = rea, .name = ren}};
int main(void) {
    int a[] = {1, 2, 3, 4};
    ctx o = {0, add, 0}, c = {.visit = both, .outer = &o};
    each(a, 4, &c);
    printf("%d %d\n", c.sum, o.sum);
    printf("%d %d %d\n", fold(choose("+"), 0, a, 4), fold(choose("*"), 1, a, 4), choose("?") == 0);
    struct shape s[2] = {{&vts[0], 3}, {&vts[1], 3, 4}};
    for (int i = 0; i < 2; i++)
        printf("%s %d\n", s[i].vt->name(), s[i].vt->area(&s[i]));
    return 0;
}
