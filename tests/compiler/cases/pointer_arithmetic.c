int printf(const char *, ...);
struct s {
    char c;
    int i;
    short t;
};
int main(void) {
    int a[10];
    for (int i = 0; i < 10; i++)
        a[i] = i * i;
    int *p = a, *q = a + 10;
    printf("%ld %d %d\n", (long)(q - p), *(p + 3), p[4]);
    printf("%d %d\n", q[-1], *(q - 2));
    printf("%d %d %d %d\n", p < q, p == a, q >= p, &a[2] != p + 2);
    struct s v[4] = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}, *r = v;
    r++;
    printf("%d %ld %ld\n", r->i, (long)(r - v), (long)((char *)r - (char *)v));
    printf("%d\n", (r + 1)->t);
    char *c = (char *)a;
    c += 4;
    printf("%d\n", *(int *)c);
    void *w = a;
    w = w + 8;
    printf("%d\n", *(int *)w);
    w++;
    printf("%ld\n", (long)((char *)w - (char *)a));
    unsigned u = 3;
    signed char m = -2;
    unsigned char uc = 200;
    printf("%d %d\n", *(p + u), (p + 5)[m]);
    char big[300];
    printf("%ld\n", (long)(&big[uc] - big));
    int(*row)[5] = (int(*)[5])a;
    printf("%d %d %ld\n", row[1][2], (*(row + 1))[0], (long)(&row[1] - row));
    printf("%d\n", 3 [a]);
    int **pp = &p;
    (*pp)++;
    printf("%d\n", *p);
    printf("%ld\n", (long)(&v[3] - &v[0]));
    p = a;
    p = 4 + p;
    printf("%d\n", *p);
    printf("%d\n", *&a[5]);
    if (p)
        printf("t");
    if (!p)
        printf("f");
    printf("%d%d\n", p && q, !p || 0);
    long diff = &a[1] - &a[9];
    printf("%ld\n", diff);
    int *n = 0;
    printf("%d %d\n", n == 0, n != p);
    printf("%d\n", (unsigned long)(a + 1) - (unsigned long)a == 4);
    p = &*p;
    p = &p[-1];
    printf("%d\n", *p);
    return 0;
}
