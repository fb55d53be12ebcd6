int printf(const char *, ...);
static int total(int (*m)[3], int n) {
    int s = 0;
    while (n--) {
        int(*r)[3] = m++;
        for (int i = 0; i < 3; i++)
            s += (*r)[i];
    }
    return s;
}
static int (*rows(int (*m)[3]))[3] { return m + 1; }
typedef int row[3];
int main(void) {
    row m[2] = {{1, 2, 3}, {4, 5, 6}}, *p = m;
    printf("%d %d\n", total(m, 2), (*rows(m))[1]);
    printf("%d %d\n", p[1][2], (*(p + 1))[0]);
    char(*s)[6] = &"hello";
    printf("%s %zu\n", *s, sizeof *s);
    int(*ap[2])[3] = {&m[0], &m[1]};
    printf("%d\n", (*ap[1])[1]);
    int *flat = *m;
    printf("%d\n", flat[4]);
    p++;
    printf("%d\n", **p);
    struct {
        int (*r)[3];
    } st = {m};
    st.r[1][1] = 50;
    printf("%d\n", m[1][1]);
    printf("%d\n", &m[0] == (row *)m);
    int a[3] = {7, 8, 9};
    int(*pa)[3] = &a;
    for (int *e = *pa; e != *(pa + 1); e++)
        printf("%d", *e);
    return 0;
}
