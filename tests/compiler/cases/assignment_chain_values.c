int printf(const char *, ...);
int main(void) {
    int a; char c; unsigned char u; long l; _Bool b; double d;
    l = a = c = 300; printf("%ld %d %d\n", l, a, c);
    l = u = -1; printf("%ld\n", l);
    a = b = 42; printf("%d\n", a);
    d = a = 3.99; printf("%g\n", d);
    l = (c = 200) + (u = 200); printf("%ld\n", l);
    int x[3] = {0}, *p = x; *p++ = 4; printf("%td\n", p - x);
    return 0;
}
