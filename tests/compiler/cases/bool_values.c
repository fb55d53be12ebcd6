int printf(const char *, ...);
struct s { _Bool a, b; _Bool c : 1; };
static _Bool f(int x) { return x; }
int main(void) {
    _Bool b = 42; printf("%d\n", b); b = 0.5; printf("%d\n", b); b = 0; printf("%d\n", b);
    int x = 1; b = &x; printf("%d\n", b); b = (void *)0; printf("%d\n", b);
    printf("%d %d\n", f(256), f(0)); printf("%d\n", (_Bool)0x100000000L);
    b = 1; b++; printf("%d\n", b); b--; printf("%d\n", b); b--; printf("%d\n", b);
    b = 0; b |= 4; printf("%d\n", b); b ^= 1; printf("%d\n", b); b += 3; printf("%d\n", b); b *= 0; printf("%d\n", b); b = !b; printf("%d\n", b);
    b <<= 3; printf("%d\n", b); b >>= 1; printf("%d\n", b);
    struct s s = {2, 0, 4}; printf("%d %d %d %zu\n", s.a, s.b, s.c, sizeof s); s.c = 0; s.b = s.a; printf("%d %d %d\n", s.a, s.b, s.c);
    s.c = 6; printf("%d\n", s.c); s.c--; printf("%d\n", s.c);
    _Bool arr[3] = {5, 0, -1}; printf("%d%d%d\n", arr[0], arr[1], arr[2]);
    printf("%d\n", b == 1 ? 10 : 20); printf("%d\n", (_Bool)0.1f + (_Bool)"x");
    printf("%d\n", -(_Bool)7); printf("%d\n", ~(_Bool)7);
    return b;
}
