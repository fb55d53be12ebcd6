int printf(const char *, ...);
static int f(int a, int b, int c, int d, int e, int g, int h, int i, int j) { return a - b + c * d - e + g * h - i * j; }
struct s { int a[5]; };
static struct s mk(int n) { struct s s; for (int i = 0; i < 5; i++) s.a[i] = n + i; return s; }
static double mix(int a, double b, char c, float d, struct s e, long f, double g) { return a + b * c - d + e.a[4] * f / g; }
int main(void) { printf("%d\n", f(1, 2, 3, 4, 5, 6, 7, 8, f(1, 1, 1, 1, 1, 1, 1, 1, 2))); printf("%d %.3f\n", mk(3).a[2], mix(1, 2.5, 'a', 0.25f, mk(9), 1000, 3)); return 0; }
