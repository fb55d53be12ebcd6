int printf(const char *, ...);
#define ALL(T, F, init, v)                                                                                                       \
    {                                                                                                                            \
        T x = init;                                                                                                              \
        x += v;                                                                                                                  \
        printf(F " ", x);                                                                                                        \
        x -= 3;                                                                                                                  \
        printf(F " ", x);                                                                                                        \
        x *= v;                                                                                                                  \
        printf(F " ", x);                                                                                                        \
        x /= 2;                                                                                                                  \
        printf(F " ", x);                                                                                                        \
        x %= 5;                                                                                                                  \
        printf(F " ", x);                                                                                                        \
        x |= 9;                                                                                                                  \
        x ^= v;                                                                                                                  \
        x &= 0x7e;                                                                                                               \
        x <<= 2;                                                                                                                 \
        printf(F " ", x);                                                                                                        \
        x >>= 1;                                                                                                                 \
        printf(F "\n", x);                                                                                                       \
    }
int main(void) {
    ALL(char, "%d", 100, 7)
    ALL(signed char, "%d", -100, 60) ALL(unsigned char, "%d", 200, 100) ALL(short, "%d", -30000, 5000)
        ALL(unsigned short, "%d", 60000, 30000) ALL(int, "%d", 1000000, 99) ALL(unsigned, "%u", 4000000000u, 7)
            ALL(long, "%ld", -5000000000L, 3) ALL(unsigned long, "%lu", -5, 3) ALL(long long, "%lld", 1LL << 60, -3) double d =
                1.5;
    d += 2;
    d *= 3;
    d -= 0.25f;
    d /= 4;
    printf("%f\n", d);
    float f = 1e8;
    f += 1;
    f /= 3;
    printf("%f\n", f);
    int i = 10;
    i *= 1.5;
    printf("%d\n", i);
    i += 2.9;
    printf("%d\n", i);
    i -= 0.5f;
    printf("%d\n", i);
    i /= 0.3;
    printf("%d\n", i);
    char c = 10;
    c *= 2.55;
    printf("%d\n", c);
    unsigned u = 5;
    u -= 5.5 - 1;
    printf("%u\n", u);
    int a[3] = {1, 2, 3}, *p = a;
    p += 2;
    printf("%d\n", *p);
    p -= 1L;
    printf("%d\n", *p);
    *p++ += 10;
    printf("%d %d\n", a[1], *p);
    int k = 0;
    a[k++] += 5;
    printf("%d %d\n", a[0], k);
    i = 5;
    i = 1;
    (i += 2);
    int j = (i += 5) * 2;
    printf("%d %d\n", i, j);
    long m = 1;
    m += (i <<= 1) + 1u;
    printf("%ld\n", m);
    unsigned char uc = 1;
    uc += 0x1ff;
    printf("%d\n", uc);
    i = -1;
    i >>= 1u;
    printf("%d\n", i);
    i = -8;
    i /= 2u;
    printf("%d\n", i);
    short s = -1;
    s /= 2u;
    printf("%d\n", s);
    i = 7;
    i %= 4L;
    printf("%d\n", i);
    return 0;
}
