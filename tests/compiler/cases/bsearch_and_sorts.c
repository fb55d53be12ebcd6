int printf(const char *, ...);
static void swap(void *a, void *b, unsigned n) {
    char *p = a, *q = b;
    while (n--) {
        char t = *p;
        *p++ = *q;
        *q++ = t;
    }
}
static void sort(void *base, int n, unsigned size, int (*cmp)(const void *, const void *)) {
    char *b = base;
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && cmp(b + (j - 1) * size, b + j * size) > 0; j--)
            swap(b + (j - 1) * size, b + j * size, size);
}
static int ci(const void *a, const void *b) {
    int x = *(int *)a, y = *(int *)b;
    return (x > y) - (x < y);
}
struct r {
    char k;
    double w;
};
static int cr(const void *a, const void *b) {
    const struct r *x = a, *y = b;
    return x->w < y->w ? -1 : x->w > y->w;
}
static int sieve(int n) {
    static char c[1000];
    int k = 0;
    for (int i = 2; i < n; i++) {
        if (c[i])
            continue;
        k++;
        for (int j = i * i; j < n; j += i)
            c[j] = 1;
    }
    return k;
}
static long gcd(long a, long b) { return b ? gcd(b, a % b) : a; }
static int collatz(unsigned long n) {
    int s = 0;
    for (; n != 1; s++)
        n = n & 1 ? n * 3 + 1 : n / 2;
    return s;
}
int main(void) {
    int a[8] = {5, -3, 8, 0, 2, 8, -9, 1};
    sort(a, 8, sizeof *a, ci);
    for (int i = 0; i < 8; i++)
        printf("%d ", a[i]);
    struct r r[3] = {{'a', 2.5}, {'b', -1}, {'c', 0.25}};
    sort(r, 3, sizeof *r, cr);
    for (int i = 0; i < 3; i++)
        printf("%c%g ", r[i].k, r[i].w);
    printf("%d %ld %d\n", sieve(1000), gcd(462, 1071), collatz(27));
    int lo = 0, hi = 7;
    while (lo < hi) {
        int m = lo + (hi - lo) / 2;
        if (a[m] < 2)
            lo = m + 1;
        else
            hi = m;
    }
    printf("%d\n", lo);
    return 0;
}
