int printf(const char *, ...);
struct s {
    int a;
    union {
        int b;
        struct {
            short c, d;
        };
    };
    struct {
        int e;
    };
    int f;
};
struct s g = {1, {2}, {3}, 4}, h = {.c = 7, .d = 8, .e = 9, .f = 10}, k = {1, .d = 3, 5, 6};
int main(void) {
    printf("%d %d %d %d %d\n", g.a, g.b, g.c, g.e, g.f);
    printf("%d %d %d %d %d\n", h.a, h.c, h.d, h.e, h.f);
    printf("%d %d %d %d %d\n", k.a, k.c, k.d, k.e, k.f);
    struct s x = {.b = 0x10002, .f = 5};
    struct s *p = &x;
    printf("%d %d %d\n", p->c, p->d, p->f);
    p->d = 9;
    printf("%x\n", x.b);
    printf("%zu %zu\n", sizeof x, __builtin_offsetof(struct s, d));
    printf("%ld\n", (char *)&p->e - (char *)p);
    return 0;
}
