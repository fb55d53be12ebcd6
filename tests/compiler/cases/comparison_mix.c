int printf(const char *, ...);
#define ALL(a, b) printf("%d%d%d%d%d%d ", (a) < (b), (a) > (b), (a) <= (b), (a) >= (b), (a) == (b), (a) != (b))
int main(void) {
    volatile int i = -1;
    volatile unsigned u = 1;
    volatile long l = -1;
    volatile unsigned long ul = 1;
    volatile char c = -1;
    volatile unsigned char uc = 255;
    volatile short s = -1;
    volatile unsigned short us = 65535;
    volatile double d = -1;
    volatile float f = 0.1f;
    volatile _Bool b = 1;
    ALL(i, u);
    ALL(l, u);
    ALL(l, ul);
    ALL(c, uc);
    ALL(s, us);
    ALL(i, l);
    ALL(c, i);
    printf("\n");
    ALL(d, i);
    ALL(f, 0.1);
    ALL(d, u);
    ALL(b, u);
    ALL(b, i);
    ALL(uc, us);
    ALL(ul, c);
    ALL(u, l);
    ALL(-1, 1u);
    ALL(-1L, 1u);
    ALL(0, 0.0);
    printf("\n%d %d %d\n", i < u < 2, (i == -1) == 1, !i == 0);
    printf("%d\n", (char)0x80 < 0x80);
    printf("%d\n", (unsigned char)0x80 == 0x80);
    printf("%d %d\n", 'a' < 'b', "a" == 0);
    return 0;
}
