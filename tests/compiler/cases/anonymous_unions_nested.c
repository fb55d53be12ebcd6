int printf(const char *, ...);
struct s { int kind; union { struct { short lo, hi; }; int whole; union { char b[4]; unsigned u; }; }; };
int main(void) {
    struct s s = {1, {{2, 3}}};
    printf("%d %d %d %d %d %zu\n", s.kind, s.lo, s.hi, s.whole, s.b[2], sizeof s);
    s.u = 0xa0b0c0d; printf("%d %d %x\n", s.lo, s.hi, s.b[3]);
    struct s d = {.hi = 7}; printf("%d %d\n", d.lo, d.whole);
    return 0;
}
