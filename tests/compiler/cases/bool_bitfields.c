int printf(const char *, ...);
struct f { _Bool a : 1, b : 1; unsigned n : 6; };
int main(void) {
    struct f f = {2, 0, 70};
    printf("%d %d %d\n", f.a, f.b, f.n);
    f.b = 0.25; f.a = !f.a; printf("%d %d\n", f.a, f.b);
    f.b = &f != 0; f.a |= 4; printf("%d %d %zu\n", f.a, f.b, sizeof f);
    _Bool b = 3; b--; printf("%d ", b); b--; printf("%d ", b); b += 9; printf("%d\n", b);
    return 0;
}
