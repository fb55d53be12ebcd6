int printf(const char *, ...);
static int n;
static int f(int x) {
    n = n * 10 + x;
    return x;
}
int main(void) {
    int a = (f(1), f(2), 3);
    printf("%d %d\n", a, n);
    a = 1, n = 2;
    printf("%d %d\n", a, n);
    int b = (a++, a++, a);
    printf("%d\n", b);
    int arr[3] = {(1, 2), 3};
    printf("%d %d\n", arr[0], arr[1]);
    printf("%d\n", arr[(0, 1)]);
    if (f(0), f(5))
        printf("y\n");
    for (a = 0, b = 9; a < b; a++, b--)
        ;
    printf("%d\n", a);
    printf("%zu\n", sizeof((char)1, (char)2));
    int *p = (f(1), arr);
    printf("%d\n", (p++, *p));
    return (1, 7);
}
