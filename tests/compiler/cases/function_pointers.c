int printf(const char *, ...);
typedef int (*op)(int, int);
static int add(int a, int b) { return a + b; }
static int sub(int a, int b) { return a - b; }
int mul(int a, int b) { return a * b; }
static op pick(char c) { return c == '+' ? add : c == '-' ? &sub : mul; }
int (*raw(int x))(int, int) { return x ? add : sub; }
static int apply(int f(int, int), int x) { return f(x, 2); }
static int twice(int (*f)(op, int), op g, int x) { return f(g, f(g, x)); }
struct ops {
    const char *n;
    op f;
    int (*un)(int);
} static const table[] = {{"add", add, 0}, {.f = sub, .n = "sub"}, {"mul", mul}};
static void hello(void) { printf("hello\n"); }
void (*handlers[2])(void) = {hello};
static int fact(int n) {
    static int (*self)(int) = fact;
    return n < 2 ? 1 : n * self(n - 1);
}
typedef void vf(void);
vf *vp = hello;
typedef int bin(int, int);
bin add;
int main(void) {
    printf("%d %d %d\n", pick('+')(5, 3), pick('-')(5, 3), (*pick('*'))(5, 3));
    printf("%d %d\n", raw(1)(2, 3), raw(0)(2, 3));
    printf("%d\n", apply(add, 4) + apply(&mul, 4));
    printf("%d\n", twice(apply, mul, 5));
    for (int i = 0; i < 3; i++)
        printf("%s %d;", table[i].n, table[i].f(7, 2));
    handlers[0]();
    (*handlers[0])();
    (**vp)();
    (****add)(1, 2);
    printf("%d %d\n", fact(5), handlers[1] == 0);
    op f = add;
    printf("%d %d %d\n", f == add, f != sub, !f);
    if (f)
        f = 0;
    printf("%d\n", f ? 1 : 2);
    int (*const arr[2][2])(int, int) = {{add, sub}, {mul, add}};
    printf("%d\n", arr[1][0](6, 7));
    void *v = (void *)sub;
    printf("%d\n", ((int (*)(int, int))v)(9, 1));
    op *pf = (op[]){mul, sub};
    printf("%d\n", pf[1](1, 1));
    printf("%zu\n", sizeof(op));
    return (f ?: add)(20, 22);
}
