int printf(const char *, ...);
int g[2][3][4];
static int sum(int m[][4], int n) {
    int s = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < 4; j++)
            s += m[i][j];
    return s;
}
static int first(int (*m)[3][4]) { return m[1][0][0]; }
static void fill(int *p, int n) {
    while (n--)
        p[n] = n;
}
int main(void) {
    fill(&g[0][0][0], 24);
    printf("%d %d %d\n", g[1][2][3], g[0][2][1], *g[1][1]);
    printf("%d %d\n", sum(g[1], 3), first(g));
    int(*row)[4] = g[1];
    row++;
    printf("%d %d\n", (*row)[2], row[1][0]);
    printf("%ld %ld %ld\n", (long)(&g[1] - g), (long)(g[1] - g[0]), (long)(g[1][2] - g[0][0]));
    int t[3][3];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            t[i][j] = i * 3 + j;
    for (int i = 0; i < 3; i++)
        for (int j = i; j < 3; j++) {
            int x = t[i][j];
            t[i][j] = t[j][i];
            t[j][i] = x;
        }
    for (int *p = t[0]; p < t[3]; p++)
        printf("%d ", *p);
    struct {
        int m[2][2];
    } s = {{{1, 2}, {3, 4}}}, c = s;
    c.m[1][1] = 9;
    printf("%d %d\n", s.m[1][1], c.m[1][1]);
    int *ptrs[2][2] = {{&t[0][0], &t[1][1]}, {t[2]}};
    printf("%d %d\n", *ptrs[0][1], ptrs[1][0][1]);
    char(*names)[5] = (char[2][5]){"ab", "cd"};
    printf("%s\n", names[1]);
    t[1][2]++;
    t[1][2] += t[2][1]--;
    printf("%d %d\n", t[1][2], t[2][1]);
    return sizeof g[0] / sizeof g[0][0];
}
