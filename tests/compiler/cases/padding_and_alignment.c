int printf(const char *, ...);
struct a { char c; double d; short s; }; struct b { short s; char c; }; struct c { struct a a; char t; } ; union u { char c[9]; long l; };
struct __attribute__((packed, aligned(2))) d { char c; long l; }; struct e { char c; struct d d; int i __attribute__((aligned(16))); };
#define show(t, m) printf(#t "." #m " %zu %zu %zu\n", sizeof(t), _Alignof(t), __builtin_offsetof(t, m))
int main(void) { show(struct a, s); show(struct b, c); show(struct c, t); show(union u, l); show(struct d, l); show(struct e, d.l); show(struct e, i); return 0; }
