int printf(const char *, ...);
static int n;
static int idx(void) { return n++; }
static int a[10];
static int *p(void) {
    n++;
    return a;
}
struct s {
    int v[3];
    unsigned b : 4;
} g;
static struct s *gs(void) {
    n++;
    return &g;
}
int main(void) {
    a[idx()] += 5;
    printf("%d %d\n", a[0], n);
    a[idx()]++;
    --a[idx()];
    printf("%d %d %d\n", a[1], a[2], n);
    *p() |= 8;
    p()[3] <<= 1;
    printf("%d %d\n", a[0], n);
    gs()->v[idx() % 3]++;
    printf("%d %d %d %d\n", g.v[0], g.v[1], g.v[2], n);
    gs()->b += 3;
    gs()->b++;
    printf("%u %d\n", g.b, n);
    int x = idx() ?: 9;
    printf("%d %d\n", x, n);
    x = sizeof(idx());
    printf("%d %d\n", x, n);
    int i = 5;
    int j = (i++, i++, i);
    printf("%d %d\n", i, j);
    __typeof__(idx()) t = 3;
    printf("%d %d\n", t, n);
    *(p() + (idx() & 1)) += 1;
    printf("%d\n", n);
    switch (idx()) { default:; }
    printf("%d\n", n);
    double d = idx();
    d += idx();
    printf("%g %d\n", d, n);
    return 0;
}
