int printf(const char *, ...);
static int calls;
static int f(int x) {
    calls++;
    return x;
}
struct p {
    int a, b;
};
int main(void) {
    printf("%d %d\n", 1 ? 2 : 3, 0 ? 2 : 3);
    printf("%d %d ", f(5) ?: 9, f(0) ?: 9);
    printf("%d\n", calls);
    printf("%d\n", 0 ? 1 : 0 ? 2 : 3);
    int x = 4;
    printf("%d\n", x > 3 ? x < 5 ? 1 : 2 : 3);
    struct p p = {1, 2}, q = {3, 4};
    printf("%d %d\n", (x ? p : q).a, (x - 4 ? p : q).b);
    const char *s = x ? "yes" : 0;
    printf("%s\n", s);
    int *n = x ? 0 : &x;
    printf("%d\n", n == 0);
    printf("%zu %zu %zu\n", sizeof(1 ? 1 : 1L), sizeof(1 ? (char)1 : (char)2), sizeof(1 ? 1 : 1.0));
    printf("%f\n", x ? 1 : 2.5);
    printf("%d\n", (x ? -1 : 0u) > 0);
    x ? f(1) : f(2);
    x ? (void)f(1) : (void)0;
    printf("%d\n", calls);
    int a = 1, b = 2;
    *(x ? &a : &b) = 9;
    printf("%d %d\n", a, b);
    void *vp = &a;
    int *ip = x ? vp : &b;
    printf("%d\n", *ip);
    long l = 5;
    printf("%ld\n", l ?: -1);
    printf("%s\n", (char *)0 ?: "null");
    double d = 0.5 ?: 1;
    printf("%f\n", d);
    printf("%d\n", (unsigned char)255 ?: 1);
    int arr[2] = {1, 2}, brr[2] = {3, 4};
    printf("%d\n", (x ? arr : brr)[1]);
    printf("%d\n", (x == 4 ? f : main ? f : f)(6));
    struct p *pp = x ? &p : (void *)0;
    printf("%d\n", pp->b);
    x = 3 > 2 ?: 7;
    printf("%d\n", x);
    return 0;
}
