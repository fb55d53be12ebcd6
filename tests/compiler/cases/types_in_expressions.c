int printf(const char *, ...);
int main(void) {
    printf("%zu %zu\n", sizeof(struct inl {
               int a;
               char b;
           }),
           sizeof(union {
               long l;
               char c[9];
           }));
    struct inl v = {1, 'x'};
    printf("%c\n", v.b);
    int n = sizeof(enum {P, Q, R}) + R;
    printf("%d\n", n);
    struct {
        struct deep {
            int z;
        } d;
    } o = {{5}};
    struct deep dd = o.d;
    printf("%d\n", dd.z);
    for (
        struct {
            int i;
            long s;
        } l = {0, 0};
        l.i < 4; l.i++, l.s += l.i)
        if (l.i == 3)
            printf("%ld\n", l.s);
    int (*(*fpa)[2])(void) = 0;
    printf("%zu %zu\n", sizeof fpa, sizeof *fpa);
    char *(*(*x[3])(int))[5];
    printf("%zu\n", sizeof x);
    printf("%d\n", (int)sizeof(int (*)(int, ...)));
    void (*sig(int s, void (*h)(int)))(int);
    printf("%d\n", sizeof(&sig) == 8);
    unsigned long long const volatile static sv = 9;
    printf("%llu\n", sv);
    return 0;
}
