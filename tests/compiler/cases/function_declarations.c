int printf(const char *, ...);
int(f)(int), g(void), (*h(int))(void);
static inline int sq(int x) { return x * x; }
extern int ext(int a[static 2], char *restrict s, int (*cb)(void));
int f(int x) { return x + 1; }
int g(void) { return 7; }
int (*h(int x))(void) { return x ? g : 0; }
int ext(int a[2], char *s, int cb()) { return a[1] + s[0] + cb(); }
void nothing(void) {}
static void early(int x) {
    if (x)
        return;
    printf("early\n");
}
inline static int in1(int a) { return a; }
_Noreturn void exit(int);
static __attribute__((noinline)) int ni(int x) { return x * 3; }
static __attribute__((always_inline)) inline int ai(int x) { return x - 1; }
long long mix(char a, short b, int c, long d, float e, double f, unsigned char g, _Bool h, void *p) {
    return a + b + c + d + e + f + g + h + (p != 0);
}
static int many(int a, int b, int c, int d, int e, int f, int g, int h, int i, int j) {
    return a - b + c - d + e - f + g * h - i * j;
}
const char *str(void) { return __func__; }
unsigned char uc(int x) { return x; }
signed char sc(int x) { return x; }
short sh(int x) { return x; }
float fl(double d) { return d; }
int main(void) {
    int a[2] = {1, 2};
    printf("%d %d %d %d\n", f(1), g(), h(1)(), sq(5));
    printf("%d\n", ext(a, "A", g));
    nothing();
    early(1);
    early(0);
    printf("%d %d %d\n", in1(3), ni(4), ai(5));
    printf("%lld\n", mix('a', -3, 100000, 1L << 40, 1.5f, 2.5, 255, 2, a));
    printf("%d %s\n", many(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), str());
    printf("%d %d %d %f\n", uc(300), sc(200), sh(70000), fl(0.1));
    printf("%s %s\n", __FUNCTION__, __func__);
    exit(f(4));
}
