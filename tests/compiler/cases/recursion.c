int printf(const char *, ...);
static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
static int ack(int m, int n) { return !m ? n + 1 : !n ? ack(m - 1, 1) : ack(m - 1, ack(m, n - 1)); }
static int odd(int n);
static int even(int n) { return n ? odd(n - 1) : 1; }
static int odd(int n) { return n ? even(n - 1) : 0; }
static void hanoi(int n, char a, char b, char c) {
    if (n) {
        hanoi(n - 1, a, c, b);
        printf("%c%c ", a, c);
        hanoi(n - 1, b, a, c);
    }
}
static int q[8], found;
static void queens(int r) {
    if (r == 8) {
        found++;
        return;
    }
    for (int c = 0; c < 8; c++) {
        int ok = 1;
        for (int i = 0; i < r; i++)
            if (q[i] == c || q[i] - c == i - r || q[i] - c == r - i) {
                ok = 0;
                break;
            }
        if (ok) {
            q[r] = c;
            queens(r + 1);
        }
    }
}
static void sort(int *a, int n) {
    if (n < 2)
        return;
    int p = a[n / 2], i = 0, j = n - 1;
    for (;;) {
        while (a[i] < p)
            i++;
        while (a[j] > p)
            j--;
        if (i >= j)
            break;
        int t = a[i];
        a[i++] = a[j];
        a[j--] = t;
    }
    sort(a, i);
    sort(a + i, n - i);
}
int main(void) {
    printf("%d %d %d %d\n", fib(20), ack(2, 3), even(10), odd(10));
    hanoi(4, 'a', 'b', 'c');
    queens(0);
    printf("%d\n", found);
    int a[20];
    for (int i = 0; i < 20; i++)
        a[i] = i * 7919 % 101;
    sort(a, 20);
    for (int i = 0; i < 20; i++)
        printf("%d ", a[i]);
    return 0;
}
