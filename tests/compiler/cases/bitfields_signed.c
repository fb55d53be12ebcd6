int printf(const char *, ...);
struct s {
    int a : 3;
    int b : 5;
    signed char c : 4;
    long d : 40;
    int e : 32;
    short f : 9;
};
int main(void) {
    struct s s = {0};
    for (int i = -20; i < 20; i += 3) {
        s.a = i;
        s.b = i;
        s.c = i;
        s.d = i * 100000000000L;
        s.e = i * 100000000;
        s.f = i * 17;
        printf("%d %d %d %ld %d %d\n", s.a, s.b, s.c, (long)s.d, s.e, s.f);
    }
    printf("%zu %d\n", sizeof s, s.a = 5);
    printf("%d\n", (s.b = 31) + 1);
    printf("%d ", s.a++);
    printf("%d ", s.a);
    printf("%d ", --s.b);
    printf("%d\n", s.b);
    s.c <<= 2;
    s.d ^= 0xffffffffffL;
    printf("%d %ld\n", s.c, (long)s.d);
    return 0;
}
