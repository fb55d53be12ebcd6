int printf(const char *, ...);
static unsigned long mulmod(unsigned long a, unsigned long b, unsigned long m) { return (unsigned __int128)a * b % m; }
static unsigned long powmod(unsigned long b, unsigned long e, unsigned long m) {
    unsigned long r = 1;
    for (; e; e >>= 1, b = mulmod(b, b, m))
        if (e & 1)
            r = mulmod(r, b, m);
    return r;
}
static unsigned rnd(void) {
    static unsigned long s = 88172645463325252UL;
    s ^= s << 13;
    s ^= s >> 7;
    s ^= s << 17;
    return s >> 32;
}
static void dec(unsigned long v) {
    char b[24], *p = b + 23;
    *p = 0;
    do
        *--p = '0' + v % 10;
    while (v /= 10);
    printf("%s ", p);
}
int main(void) {
    printf("%lu\n", powmod(3, 1000000006, 1000000007));
    for (int i = 0; i < 5; i++)
        printf("%x ", rnd());
    dec(0);
    dec(18446744073709551615UL);
    dec(1234567890123UL);
    long a = 0x7fffffffffffffff, b = -a - 1;
    printf("%ld %ld %ld\n", a, b, a + b);
    printf("%ld %ld\n", b / 2, b % 1000);
    printf("%lu\n", (unsigned long)b >> 1);
    printf("%d\n", (int)(a >> 40));
    unsigned long carry = 0, x = ~0UL;
    x += 2;
    carry = x < 2;
    printf("%lu %lu\n", x, carry);
    long long q = -7;
    printf("%lld %lld %lld\n", q / 2, q % 2, q >> 1);
    unsigned int h = 2166136261u;
    for (const char *s = "abc"; *s; s++)
        h = (h ^ *s) * 16777619;
    printf("%u\n", h);
    int day = 1 + (int)(123456789L / 86400 % 365);
    printf("%d\n", day);
    return 0;
}
