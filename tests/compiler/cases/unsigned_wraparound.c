int printf(const char *, ...);
int main(void) {
    unsigned u = 0;
    u--;
    printf("%u\n", u);
    u++;
    printf("%u\n", u);
    unsigned long l = 0;
    l -= 2;
    printf("%lu\n", l);
    unsigned char c = 255;
    c++;
    printf("%d\n", c);
    c--;
    printf("%d\n", c);
    unsigned short s = 0;
    s--;
    printf("%d\n", s);
    unsigned x = 3000000000u;
    printf("%u %u %lu\n", x + x, x * 3, (unsigned long)x * 3);
    printf("%u\n", -x);
    printf("%u\n", 1u - 2u);
    printf("%lu\n", 0ul - 1);
    printf("%u %u\n", (unsigned)-7 / 2, (unsigned)-7 % 10);
    return 0;
}
