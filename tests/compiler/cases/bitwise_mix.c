int printf(const char *, ...);
static unsigned rot(unsigned x, int n) { return x << n | x >> (32 - n); }
static unsigned long hash(const char *s) {
    unsigned long h = 14695981039346656037UL;
    while (*s)
        h = (h ^ (unsigned char)*s++) * 1099511628211UL;
    return h;
}
static unsigned crc(const unsigned char *p, int n) {
    unsigned c = ~0u;
    while (n--) {
        c ^= *p++;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
    }
    return ~c;
}
int main(void) {
    printf("%x %x %x\n", 0xf0 & 0x3c, 0xf0 | 0x3c, 0xf0 ^ 0x3c);
    printf("%x\n", rot(0x80000001, 4));
    printf("%lx %x\n", hash("hello"), crc((const unsigned char *)"123456789", 9));
    int x = 0x5a;
    printf("%d %d\n", x & 1 << 3, (x & 8) == 8);
    printf("%d\n", x & 0xf0 == 0x50);
    printf("%d\n", 1 | 2 ^ 3 & 4);
    x ^= x << 13;
    x ^= (unsigned)x >> 17;
    x ^= x << 5;
    printf("%d\n", x);
    unsigned char m = 0xff;
    m &= ~(1 << 3);
    m ^= 0x81;
    printf("%x\n", m);
    printf("%d\n", -1 & 0xff);
    printf("%lx\n", -1 & 0xffffffffffUL);
    printf("%lx\n", 0xffffffff00000000UL | -2);
    unsigned r = 0;
    for (unsigned v = 0x12345678, i = 0; i < 32; i++, v >>= 1)
        r = r << 1 | (v & 1);
    printf("%x\n", r);
    printf("%d\n", ~0 >> 31);
    printf("%d %d\n", 6 & -6, 7 & 7 - 1);
    return 0;
}
