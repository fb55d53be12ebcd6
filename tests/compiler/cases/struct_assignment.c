int printf(const char *, ...);
struct in {
    char n[3];
    short s;
};
struct s {
    int a;
    struct in i, arr[2];
    int *p;
    union {
        int x;
        char c;
    } u;
};
int main(void) {
    int k = 5;
    struct s a = {1, {"ab", 2}, {{"cd", 3}, {"ef", 4}}, &k, {7}}, b;
    b = a;
    b.i.n[0] = 'z';
    b.arr[1] = a.arr[0];
    printf("%s %s %d %s %d\n", a.i.n, b.i.n, b.arr[1].s, b.arr[1].n, *b.p);
    struct s *p = &a, *q = &b;
    *p = *q;
    printf("%s\n", a.i.n);
    p->i = (struct in){"yy", 9};
    printf("%s %d\n", p->i.n, p->i.s);
    struct s c[3] = {a, b, a};
    c[2] = c[1] = c[0];
    printf("%s %d\n", c[2].i.n, c[1].u.x);
    (k ? a : b).a;
    printf("%d\n", (a = b).a);
    struct in z = (a.a ? a.i : b.i);
    printf("%s\n", z.n);
    *(&c[1].arr[0] + 1) = z;
    printf("%s\n", c[1].arr[1].n);
    a = a;
    struct {
        int x, y;
    } an = {1, 2}, an2 = an;
    an2.x = 9;
    printf("%d %d\n", an.x, an2.x);
    const struct s cs = a;
    printf("%d\n", cs.i.s);
    volatile struct in vi = {"v", 1};
    struct in vc = vi;
    printf("%s\n", vc.n);
    return 0;
}
