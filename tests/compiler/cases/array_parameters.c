int printf(const char *, ...);
static int sum(int n, const int a[static 3]) { int t = 0; for (int i = 0; i < n; i++) t += a[i]; return t; }
static int diagonal(int m[][3]) { return m[0][0] + m[1][1] + m[2][2] + (int)sizeof *m; }
static unsigned long size(int a[10]) { return sizeof a; }
static int qualified(int a[const], int n) { a[0] = n; return *a; }
int main(void) {
    int a[] = {1, 2, 3, 4}, m[3][3] = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}};
    printf("%d %d %lu ", sum(4, a), diagonal(m), size(a));
    printf("%d ", qualified(a, 9));
    printf("%d\n", a[0]);
    return 0;
}
