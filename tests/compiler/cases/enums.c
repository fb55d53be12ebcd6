int printf(const char *, ...);
enum e { A, B = 5, C, D = -3, E, F = B + C };
enum u { U0 = 0, UM = 4294967295u };
enum big { BIG = 0x100000000L, BIG2 };
typedef enum {
    X = 1,
    Y = X << 4,
} t;
enum { ANON = 'z', NEG = -1 };
struct s {
    enum e v : 4;
    enum in { IN1 = 7, IN2 } w;
};
static enum e next(enum e v) { return v + 1; }
int main(void) {
    printf("%d %d %d %d %d %d\n", A, B, C, D, E, F);
    printf("%zu %zu %zu %zu\n", sizeof(enum e), sizeof(enum u), sizeof(enum big), sizeof(t));
    enum e v = B;
    v = next(v);
    printf("%d %d\n", v, v == C);
    switch (v) {
    case A:
        printf("a\n");
        break;
    case C:
        printf("c\n");
        break;
    default:
        printf("?\n");
    }
    printf("%u %ld %d %c\n", UM, (long)BIG2, Y, ANON);
    enum u w = UM;
    printf("%d %d\n", w > 0, (w + 1) == 0);
    struct s s = {B, IN2};
    printf("%d %d\n", s.v, s.w);
    int a[F] = {[C] = 3};
    printf("%zu %d\n", sizeof a, a[6]);
    enum local { L1 = 100 } l = L1;
    {
        enum local { L1 = 200 };
        printf("%d\n", L1);
    }
    printf("%d\n", l);
    enum e neg = D;
    printf("%d %d\n", neg < 0, NEG);
    enum fwd { FF };
    enum fwd ff = FF;
    v++;
    v += 2;
    v |= 16;
    printf("%d %d\n", ff, v);
    return 0;
}
