int printf(const char *, ...);
#define likely(x) __builtin_expect(!!(x), 1)
static int f(int x) {
    if (likely(x > 3))
        return 1;
    if (__builtin_expect(x, 0))
        return 2;
    return __builtin_expect(x + 5, 5);
}
static int g(int x) {
    switch (x) {
    case 1:
        return 10;
    default:
        __builtin_unreachable();
    }
}
int main(void) {
    printf("%d %d %d %d\n", f(5), f(2), f(0), g(1));
    printf("%d %d %d\n", __builtin_constant_p(3), __builtin_constant_p("s"), __builtin_constant_p(1 + 2 * 3));
    printf("%d\n", __builtin_choose_expr(1, 5, "no"));
    printf("%d %d %d\n", __builtin_types_compatible_p(int, int), __builtin_types_compatible_p(int *, char *),
           __builtin_types_compatible_p(int[3], int[]));
    if (__builtin_expect(0, 0) && f(1))
        printf("never\n");
    printf("%ld\n", __builtin_expect(300L, 1));
    if (!likely(f(9)))
        __builtin_trap();
    return __builtin_offsetof(
        struct {
            char c;
            long l;
        },
        l);
}
