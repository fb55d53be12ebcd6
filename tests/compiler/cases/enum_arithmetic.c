int printf(const char *, ...);
enum big { HUGE = 0x123456789aLL, SMALL = 1 };
enum neg { M = -5, Z = M + 5, P };
enum { ONE = 1, TWO, FOUR = TWO << 1, MASK = ONE | FOUR };
int main(void) {
    enum neg n = M; enum big g = HUGE;
    n++; n += 2; printf("%d %d %d\n", n, Z, P);
    printf("%llx %zu %zu %d\n", (unsigned long long)g, sizeof g, sizeof n, MASK);
    printf("%d %d\n", M < 0, n < Z); int a[FOUR] = {[TWO] = 6}; printf("%d\n", a[2]);
    return 0;
}
