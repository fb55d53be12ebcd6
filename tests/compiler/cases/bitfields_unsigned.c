int printf(const char *, ...);
struct s {
    unsigned a : 3;
    unsigned b : 5;
    unsigned char c : 4;
    unsigned long d : 40;
    unsigned e : 32;
    unsigned short f : 9;
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
        printf("%d %d %d %ld %u %d\n", s.a, s.b, s.c, (long)s.d, s.e, s.f);
    }
    printf("%zu %d\n", sizeof s, s.a = 13);
    printf("%d %d\n", s.a < -1, s.e < -1);
    printf("%d\n", s.a - 7);
    printf("%u\n", s.e - 1);
    s.a += 5;
    s.b -= 9;
    s.f *= 3;
    s.e /= 7;
    s.c %= 3;
    printf("%d %d %d %u %d\n", s.a, s.b, s.f, s.e, s.c);
    printf("%d\n", s.a--);
    printf("%d\n", ++s.a);
    s.a = ~0;
    printf("%d\n", s.a++);
    printf("%d\n", s.a);
    return 0;
}
