int printf(const char *, ...);
typedef unsigned __int128 U; typedef __int128 S;
static void show(U x) { printf("%016lx%016lx\n", (unsigned long)(x >> 64), (unsigned long)x); }
int main(void) {
    U a = (U)0x123456789abcdef0 << 60 | 0xfedcba9876543210; S b = -5;
    show(a + a); show(a * 3); show(a / 1000003); show(a % 1000003); show(~a); show(b * b * b); show(b / 2); show(b >> 1); show(a ^ (U)b);
    printf("%d %d %d %zu\n", b < 0, (U)b > a, a == a + 0, sizeof a); show((U)-1 - a); show((S)-7 % 3);
    double d = (double)a; printf("%g %g\n", d, (double)b); show((U)1e30);
    return 0;
}
