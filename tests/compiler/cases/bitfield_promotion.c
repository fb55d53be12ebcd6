int printf(const char *, ...);
struct s {
    unsigned a : 31;
    unsigned b : 32;
    unsigned long c : 20;
    unsigned long d : 33;
    _Bool e : 1;
    unsigned char f : 8;
};
int main(void) {
    struct s s = {1, 1, 1, 1, 1, 1};
    printf("%d %d %d %d %d %d\n", s.a - 2 < 0, s.b - 2 < 0, s.e - 2 < 0, s.f - 2 < 0, -s.a < 0, -s.b < 0);
    printf("%d %d\n", ~s.a < 0, ~s.f < 0);
    printf("%zu %zu\n", sizeof(+s.a), sizeof(s.b + 0));
    printf("%d\n", (s.a ? s.a : 0) - 2 < 0);
    return 0;
}
