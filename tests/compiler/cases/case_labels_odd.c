int printf(const char *, ...);
enum e { A = -2, B, D = 'x' };
static int f(int v) {
    switch (v) { case A: return 1; case B: return 2; case D: return 3; case sizeof(int) * 4: return 4; case 1 ? 99 : 0: return 5; case (char)300: return 6; }
    return 0;
}
static int g(unsigned long long v) { switch (v) { case 1ull << 40: return 1; case -1: return 2; case 5: default: return 3; } }
static int h(char c) { switch (c) { default: return -1; case 'a' ... 'f': return c - 'a'; case -128: return 77; } }
int main(void) {
    for (int i = -3; i < 125; i++) if (f(i)) printf("%d:%d ", i, f(i));
    printf("\n%d %d %d %d %d %d\n", g(1ull << 40), g(~0ull), g(7), h('c'), h(-128), h('z'));
    return 0;
}
