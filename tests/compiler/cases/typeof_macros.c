int printf(const char *, ...);
#define max(a, b) ({ typeof(a) _a = (a); typeof(b) _b = (b); _a > _b ? _a : _b; })
#define swap(a, b) do { __typeof__(a) _t = a; a = b; b = _t; } while (0)
#define each(p, a) for (typeof(&(a)[0]) p = (a); p < (a) + sizeof(a) / sizeof *(a); p++)
#define container(p, t, m) ((t *)((char *)(1 ? (p) : &((t *)0)->m) - __builtin_offsetof(t, m)))
struct s { int a; long b; };
int main(void) { int i = 3, j = 9; double d[] = {1, 2.5, -1}; swap(i, j); printf("%d %d %g\n", j, max(i++, j), max(2.5, 1)); double t = 0; each(p, d) t += *p; struct s s = {1, 2}; long *pb = &s.b; typeof(int[3]) a = {1, 2, 3}; typeof(a[0]) *q = a; printf("%g %d %d %d\n", t, container(pb, struct s, b)->a, q[2], i); return 0; }
