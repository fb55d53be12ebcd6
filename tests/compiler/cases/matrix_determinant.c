int printf(const char *, ...);
typedef long M[4][4];
static long det(int n, M m) {
    if (n == 1) return m[0][0];
    long t = 0;
    for (int k = 0; k < n; k++) { M s; for (int i = 1; i < n; i++) for (int j = 0, c = 0; j < n; j++) if (j != k) s[i - 1][c++] = m[i][j]; t += (k & 1 ? -1 : 1) * m[0][k] * det(n - 1, s); }
    return t;
}
int main(void) { M m = {{2, -1, 0, 3}, {1, 4, 7, -2}, {5, 0, 6, 1}, {-3, 2, 2, 8}}; printf("%ld %ld %zu\n", det(4, m), det(2, m), sizeof(M)); return 0; }
