int printf(const char *, ...);
static int next(void) {
    static int n = 10;
    return n++;
}
static int other(void) {
    static int n;
    return n += 2;
}
static int *keep(void) {
    static int a[3] = {1, 2, 3};
    a[0]++;
    return a;
}
int rec(int d) {
    static int depth;
    depth++;
    if (d)
        rec(d - 1);
    return depth;
}
int main(void) {
    for (int i = 0; i < 3; i++)
        printf("%d %d %d\n", next(), other(), keep()[0]);
    {
        static int x = 1;
        x++;
        printf("%d\n", x);
    }
    {
        static int x = 5;
        x++;
        printf("%d\n", x);
    }
    for (int i = 0; i < 3; i++) {
        static int c = 'a';
        printf("%c", c++);
    }
    printf("\n%d\n", rec(4));
    static const char *const s[] = {"p", "q"};
    printf("%s\n", s[1]);
    static int self_size = sizeof self_size;
    static void *self = &self;
    printf("%d %d\n", self_size, self == &self);
    return 0;
}
