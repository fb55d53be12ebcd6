int printf(const char *, ...);
struct e {}; struct h { int a; struct e e; int b; }; struct z { int n[0]; char c; };
static struct e ret(struct e e) { return e; }
int main(void) { struct h h = {1, {}, 2}; struct e e = {}; e = ret(e); struct z z = {.c = 3}; int a[0]; printf("%zu %zu %zu %zu\n", sizeof e, sizeof h, sizeof z, sizeof a); printf("%d %d %d\n", h.b, z.c, (char *)&h.e - (char *)&h == 4); return 0; }
