int printf(const char *, ...);
struct v {
    int x, y;
};
struct big {
    int a[8];
};
static struct v mk(int x, int y) { return (struct v){x, y}; }
static struct v add(struct v a, struct v b) { return mk(a.x + b.x, a.y + b.y); }
static struct big fill(int n) {
    struct big b;
    for (int i = 0; i < 8; i++)
        b.a[i] = n * i;
    return b;
}
static struct big twice(struct big b) {
    for (int i = 0; i < 8; i++)
        b.a[i] *= 2;
    return b;
}
static struct v pick(int c, struct v a, struct v b) { return c ? a : b; }
struct w {
    struct v v;
    struct big b;
};
static struct w wrap(struct v v, struct big b) {
    struct w w = {v, b};
    return w;
}
int main(void) {
    printf("%d\n", add(add(mk(1, 2), mk(3, 4)), mk(5, 6)).y);
    printf("%d %d\n", fill(3).a[4], twice(twice(fill(1))).a[7]);
    struct v v = mk(1, 1);
    v = add(v, v);
    v = pick(0, v, add(v, mk(9, 9)));
    printf("%d %d\n", v.x, v.y);
    struct w w = wrap(mk(7, 8), fill(2));
    w.b = twice(w.b);
    w.v = pick(w.v.x > 5, (struct v){0, 1}, w.v);
    printf("%d %d\n", w.v.y, w.b.a[3]);
    struct big arr[2] = {fill(1), fill(2)};
    arr[0] = arr[1];
    arr[1] = fill(5);
    printf("%d %d\n", arr[0].a[7], arr[1].a[1]);
    int k = (v = mk(3, 4)).y;
    printf("%d\n", k);
    struct v *p = &(struct v){5, 6};
    *p = add(*p, *p);
    printf("%d\n", p->x);
    return wrap(v, twice(fill(1))).b.a[2];
}
