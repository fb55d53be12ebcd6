int printf(const char *, ...);
static unsigned long bits[4];
static void set(int n) { bits[n / 64] |= 1UL << n % 64; }
static void clear(int n) { bits[n >> 6] &= ~(1UL << (n & 63)); }
static int test(int n) { return bits[n >> 6] >> (n & 63) & 1; }
union conv {
    float f;
    unsigned u;
    struct {
        unsigned man : 23, exp : 8, sign : 1;
    } p;
};
struct ip {
    unsigned ihl : 4, ver : 4;
    unsigned char tos;
    unsigned short len;
    unsigned id : 16, flags : 3, frag : 13;
} __attribute__((packed));
int main(void) {
    for (int i = 0; i < 256; i += 7)
        set(i);
    clear(14);
    int n = 0;
    for (int i = 0; i < 256; i++)
        n += test(i);
    printf("%d %d %d\n", n, test(21), test(14));
    union conv c = {.f = -6.5f};
    printf("%u %u %x\n", c.p.sign, c.p.exp - 127, c.p.man);
    c.p.exp++;
    printf("%g\n", c.f);
    struct ip h = {5, 4, 0, 1500, 77, 2, 100};
    unsigned char *b = (unsigned char *)&h;
    for (unsigned i = 0; i < sizeof h; i++)
        printf("%02x", b[i]);
    printf(" %d %d\n", h.ver, h.frag);
    h.frag = 0x1fff;
    h.flags = 9;
    printf("%d %d\n", h.frag, h.flags);
    return 0;
}
