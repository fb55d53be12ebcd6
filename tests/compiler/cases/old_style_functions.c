int printf(const char *, ...);
int add(a, b)
int a;
int b;
{ return a + b; }
static double scale(x, k, n)
double x;
int k, *n;
{
    *n += 1;
    return x * k;
}
int none() { return 7; }
int narrow(c, s)
char c;
short s;
{ return c + s; }
char *pick(v, i)
char **v;
{ return v[i]; }
int fwd();
int later(x)
int x;
{ return fwd(x, 2); }
int fwd(int a, int b) { return a * b; }
float fl(x)
float x;
{ return x * 2; }
int main(void) {
    int n = 0;
    char *v[] = {"a", "b"};
    printf("%d %f %d ", add(1, 2), scale(1.5, 2, &n), none());
    printf("%d\n", n);
    printf("%d %s %d %f\n", narrow('a', 2), pick(v, 1), later(21), fl(1.25));
    int (*f)() = add;
    printf("%d\n", f(3, 4));
    f = none;
    printf("%d\n", f());
    return 0;
}
