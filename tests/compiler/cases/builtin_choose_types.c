int printf(const char *, ...);
struct s { int x; };
typedef int T;
int main(void) {
    printf("%d %d %d\n", __builtin_types_compatible_p(int, T), __builtin_types_compatible_p(int, unsigned), __builtin_types_compatible_p(const int, int));
    printf("%d %d\n", __builtin_types_compatible_p(struct s *, struct s *), __builtin_types_compatible_p(int[2], int[]));
    printf("%d\n", __builtin_choose_expr(sizeof(long) == 8, 1, (struct s){2}));
    printf("%d %d\n", __builtin_constant_p(3 + 4), __builtin_constant_p("abc"[1]) >= 0);
    return 0;
}
