int printf(const char *, ...);
struct s {
    int a : 5;
    unsigned b : 6;
    long c : 35;
    unsigned long d : 50;
    _Bool e : 1;
    unsigned f : 32;
};
static int calls;
static struct s g;
static struct s *at(void) {
    calls++;
    return &g;
}
int main(void) {
    at()->a += 7;
    at()->b -= 1;
    at()->c -= 5000000000L;
    at()->d |= 1L << 45;
    at()->e ^= 1;
    at()->f = ~0;
    printf("%d %u %ld %lu %d %u %d\n", g.a, g.b, (long)g.c, (unsigned long)g.d, g.e, g.f, calls);
    g.a *= 3;
    g.b *= 3;
    g.c /= 7;
    g.d >>= 3;
    g.e += 1;
    g.f += 3;
    printf("%d %u %ld %lu %d %u\n", g.a, g.b, (long)g.c, (unsigned long)g.d, g.e, g.f);
    g.a <<= 1;
    g.b <<= 3;
    g.c <<= 2;
    g.d <<= 9;
    g.e <<= 1;
    g.f <<= 31;
    printf("%d %u %ld %lu %d %u\n", g.a, g.b, (long)g.c, (unsigned long)g.d, g.e, g.f);
    g.a &= 6;
    g.b %= 5;
    g.c ^= -1;
    g.d &= 0xff;
    printf("%d %u %ld %lu\n", g.a, g.b, (long)g.c, (unsigned long)g.d);
    g.a /= -1;
    g.b /= 2.0;
    g.c += 1.5;
    printf("%d %u %ld\n", g.a, g.b, (long)g.c);
    at()->a++;
    --at()->b;
    at()->e--;
    printf("%d %u %d %d\n", g.a, g.b, g.e, calls);
    int x = (g.a = 31);
    long y = (g.c = 1L << 34);
    printf("%d %ld\n", x, y);
    x = g.b = g.a = 99;
    printf("%d\n", x);
    return 0;
}
