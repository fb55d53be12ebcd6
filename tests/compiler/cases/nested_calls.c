int printf(const char *, ...);
static int a(int x) { return x + 1; }
static int b(int x, int y) { return x * 10 + y; }
static int c(int x, int y, int z) { return a(b(x, y)) + z; }
static int *at(int *p, int i) { return p + i; }
static const char *pick(int i) { return i ? "one" : "zero"; }
static int len(const char *s) {
    int n = 0;
    while (s[n])
        n++;
    return n;
}
typedef int (*fn)(int);
static fn get(int k) { return k ? a : (fn)0; }
int main(void) {
    printf("%d\n", a(a(a(b(a(1), a(2))))));
    printf("%d\n", c(b(1, 2), c(1, 2, 3), a(4)));
    int v[4] = {1, 2, 3, 4};
    *at(v, a(0)) = b(v[0], *at(v, 2));
    printf("%d\n", v[1]);
    printf("%d\n", len(pick(a(0))) + len(pick(a(-1))));
    (*at(v, 3))++;
    at(v, 1)[2] += 5;
    printf("%d\n", v[3]);
    printf("%d\n", get(1)(get(1)(5)));
    printf("%d\n", b(v[0]++, 2));
    int i = 0;
    for (i = a(0); i < b(0, a(3)); i += a(0))
        printf("%d", i);
    printf("\n");
    return printf("%s", pick(printf("x") > 0));
}
