int printf(const char *, ...);
static inline int a(int x) { return x + 1; }
static inline __attribute__((always_inline)) long b(char c) { static int n; n += c; return n; }
static __attribute__((noinline)) short c(unsigned char u, short s) { return u * s; }
inline static _Bool d(double x) { return x; }
int main(void) { printf("%d %ld ", a(1), b(100)); printf("%ld %d %d %d\n", b(100), c(255, 300), d(0.1), a(a(a(0)))); return 0; }
