int printf(const char *, ...);
static int n;
static int next(int k) { n = n * 10 + k; return k; }
int main(void) {
    int r = next(1) && next(0) && next(2) || next(3); printf("%d %d\n", r, n); n = 0;
    r = (next(1), next(2), next(3)); printf("%d %d\n", r, n); n = 0;
    r = next(0) ? next(1) : next(2); printf("%d %d\n", r, n); n = 0;
    int a[2] = {next(4)}; a[1] = next(5); printf("%d %d\n", a[0] * a[1], n);
    return 0;
}
