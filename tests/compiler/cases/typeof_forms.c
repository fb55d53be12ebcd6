int printf(const char *, ...);
#define MAX(a, b)                                                                                                                \
    ({                                                                                                                           \
        __typeof__(a) _a = (a);                                                                                                  \
        __typeof__(b) _b = (b);                                                                                                  \
        _a > _b ? _a : _b;                                                                                                       \
    })
#define SWAP(a, b)                                                                                                               \
    do {                                                                                                                         \
        typeof(a) t = (a);                                                                                                       \
        (a) = (b);                                                                                                               \
        (b) = t;                                                                                                                 \
    } while (0)
int main(void) {
    int x = 3;
    typeof(x) y = 5;
    typeof(int *) p = &x;
    typeof(*p) z = *p;
    __typeof(x + 1L) l = 1;
    printf("%d %d %zu\n", y, z, sizeof l);
    printf("%d %f\n", MAX(x++, y), MAX(1.5, 2));
    SWAP(x, y);
    printf("%d %d\n", x, y);
    int a[4] = {1, 2, 3, 4};
    typeof(a) b = {5};
    printf("%zu %d\n", sizeof b, b[0]);
    typeof(a[0]) c = a[2];
    printf("%d\n", c);
    struct {
        int q;
    } s = {7};
    typeof(s) t = s;
    printf("%d\n", t.q);
    const int k = 1;
    typeof(k) m = 2;
    printf("%d\n", m);
    typeof(main) *mp = main;
    printf("%d\n", mp == main);
    typeof(typeof(char)[3]) ch = "ab";
    printf("%s\n", ch);
    int n = 0;
    typeof(n++) w = 9;
    printf("%d %d\n", n, w);
    typeof(&x) const q = &y;
    printf("%d\n", *q);
    __auto_type au = 2.5;
    printf("%f\n", au);
    typeof("abc") str = "xyz";
    printf("%s %zu\n", str, sizeof str);
    return 0;
}
