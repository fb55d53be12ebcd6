int printf(const char *, ...);
static int t(int x) {
    printf("<%d>", x);
    return x;
}
int main(void) {
    if (t(0) && t(1))
        printf("a");
    if (t(1) || t(2))
        printf("b");
    int x = t(0) || t(3) && t(0);
    printf("%d\n", x);
    x = t(5) && t(6);
    printf("%d\n", x);
    x = !(t(0) || t(0));
    printf("%d\n", x);
    int *p = 0;
    if (p && *p)
        printf("no");
    if (!p || *p)
        printf("ok\n");
    while (t(0) || (t(1) && t(0)))
        ;
    for (int i = 0; i < 3 && t(i) < 2; i++)
        ;
    x = (t(1), t(0)) || t(2);
    printf("%d\n", x);
    printf("%d\n", (t(1) && t(2)) + (t(0) || t(0)));
    double d = 0.5;
    printf("%d %d\n", d && 1, !d || 0);
    x = t(1) ? t(0) && t(9) : t(8);
    printf("%d\n", x);
    do
        ;
    while (t(0) && t(1));
    char c = t(1) || 0;
    printf("%d\n", c);
    return t(1) && (t(0) || t(7));
}
