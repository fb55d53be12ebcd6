int printf(const char *, ...);
struct a {
    char c;
};
struct b {
    int x, y;
};
struct c {
    long a, b, c;
};
struct d {
    double x;
    float y;
};
struct e {
    char n[13];
};
struct f {
    struct b b[2];
    struct a a;
};
struct g {};
static struct a fa(struct a v) {
    v.c++;
    return v;
}
static struct b fb(struct b v, int k) {
    struct b r = {v.x * k, v.y * k};
    v.x = 0;
    return r;
}
struct c fc(struct c v) {
    v.b = v.a + v.c;
    return v;
}
static struct d fd(struct d v, struct b w) {
    v.x *= w.x;
    v.y += w.y;
    return v;
}
static struct e fe(struct e v) {
    v.n[0] = 'J';
    return v;
}
static struct f ff(struct f v, struct e e, double z, struct a a) {
    v.b[1].x += z;
    v.a.c = a.c + e.n[1];
    return v;
}
static struct c rec(int n) {
    if (!n)
        return (struct c){1, 1, 1};
    struct c r = rec(n - 1);
    return (struct c){r.a + 1, r.b * 2, r.c + r.b};
}
static int takes8(struct b a, struct b b, struct c c, struct b d, int e, struct a f, struct a g, struct b h) {
    return a.x + b.y * 2 + c.b * 3 + d.x * 4 + e * 5 + f.c * 6 + g.c * 7 + h.y * 8;
}
int main(void) {
    struct a a = {'a'};
    struct b b = {2, 3};
    struct c c = {1, 0, 5};
    struct d d = {1.5, 2.5f};
    struct e e = {"Hello"};
    struct f f = {{{1, 2}, {3, 4}}, {5}};
    printf("%c %c\n", fa(a).c, a.c);
    struct b r = fb(b, 10);
    printf("%d %d %d\n", r.x, r.y, b.x);
    printf("%ld\n", fc(c).b);
    d = fd(d, b);
    printf("%f %f\n", d.x, d.y);
    printf("%s %s\n", fe(e).n, e.n);
    f = ff(f, e, 7.9, a);
    printf("%d %d\n", f.b[1].x, f.a.c);
    struct c k = rec(5);
    printf("%ld %ld %ld\n", k.a, k.b, k.c);
    printf("%d\n", fb(fb(b, 2), 3).y);
    printf("%d\n", takes8(b, r, c, b, 1, a, a, r));
    struct b (*p)(struct b, int) = fb;
    printf("%d\n", p(b, 4).x);
    b = fb(b, 2);
    b = b;
    printf("%d\n", b.x);
    struct b arr[2] = {fb(b, 1), b};
    printf("%d\n", arr[0].y + arr[1].x);
    struct c x, y;
    x = y = k;
    printf("%ld ", x.c);
    printf("%ld\n", (x = c).c);
    (void)fb(b, 1);
    fa(a);
    return 0;
}
