int printf(const char *, ...);
struct n { int v; struct n *l, *r; }; static struct n pool[32]; static int used;
static struct n *put(struct n *t, int v) { if (!t) { t = &pool[used++]; t->v = v; return t; } if (v < t->v) t->l = put(t->l, v); else t->r = put(t->r, v); return t; }
static int depth(const struct n *t) { if (!t) return 0; int a = depth(t->l), b = depth(t->r); return 1 + (a > b ? a : b); }
static void walk(const struct n *t, void (*f)(int)) { if (t) { walk(t->l, f); f(t->v); walk(t->r, f); } } static void out(int v) { printf("%d ", v); }
int main(void) { struct n *t = 0; unsigned x = 7; for (int i = 0; i < 20; i++) t = put(t, (x = x * 1103515245 + 12345) >> 16 & 255); walk(t, out); printf("\n%d %d\n", depth(t), used); return 0; }
