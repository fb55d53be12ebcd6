int printf(const char *, ...);
typedef int op(int, int); typedef op *opp;
static op add, sub; static int add(int a, int b) { return a + b; } static int sub(int a, int b) { return a - b; }
static int apply(op f, int a, int b) { return f(a, b); }
struct t { const char *n; opp f; };
int main(void) {
    struct t ts[] = {{"+", add}, {"-", &sub}}; for (int i = 0; i < 2; i++) printf("%s %d %d\n", ts[i].n, ts[i].f(9, 4), (*ts[i].f)(1, 2));
    opp a[2] = {sub, add}; printf("%d %d %d\n", apply(a[0], 5, 1), (****a[1])(2, 2), a[0] == sub);
    return 0;
}
