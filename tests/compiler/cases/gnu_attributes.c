int printf(const char *, ...);
static int unused1 __attribute__((unused));
static void __attribute__((noinline, cold)) f(int x __attribute__((unused))) { printf("f\n"); }
__attribute__((const)) static int sq(int x) { return x * x; }
int g(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int g(const char *fmt, ...) { return fmt[0]; }
static inline __attribute__((__always_inline__)) int h(void) { return 3; }
struct __attribute__((__packed__)) s {
    char c;
    int i;
};
typedef int v4 __attribute__((__mode__(__SI__)));
extern int w __attribute__((weak));
int w = 5;
int __attribute__((visibility("default"))) vis = 6;
__extension__ typedef long long ll;
enum e { A __attribute__((deprecated)), B };
static int fall(int x) {
    switch (x) {
    case 1:
        x++;
        __attribute__((fallthrough));
    case 2:
        x++;
    }
    return x;
}
int main(void) {
    f(1);
    int y __attribute__((aligned(16), unused)) = 4;
    printf("%d %d %d %zu %zu %d %d\n", sq(3), g("x"), h(), sizeof(struct s), sizeof(v4), w, vis);
l:
    __attribute__((unused));
    ll big = __extension__ 5LL;
    printf("%lld %d %d\n", big, B, fall(1));
    __asm__ volatile("" ::: "memory");
    int in = 7, out;
    __asm__("mov %1, %0" : "=r"(out) : "r"(in));
    printf("%d\n", out);
    __asm__("addl %2, %0" : "=r"(out) : "0"(out), "r"(in));
    printf("%d\n", out);
    __asm__("incl %0" : "+r"(out));
    printf("%d\n", out);
    register int r = 3;
    auto int au = 4;
    return r + au;
}
