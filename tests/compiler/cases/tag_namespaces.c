int printf(const char *, ...);
struct x { int x; }; typedef struct x x; enum y { z }; 
static int f(x x) { struct x y = {x.x + 1}; { struct x { char c[3]; }; return y.x + sizeof(struct x); } }
int main(void) { x a = {4}; goto x; x: printf("%d %d\n", f(a), (int)z); { int x = sizeof(struct x); enum y y = z; printf("%d %d\n", x, y); } struct x; struct x { long l[2]; }; printf("%zu\n", sizeof(struct x)); return 0; }
