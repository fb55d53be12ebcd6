int printf(const char *, ...);
#define STR(x) #x
#define XSTR(x) STR(x)
#define CAT(a, b) a##b
#define XCAT(a, b) CAT(a, b)
#define N 3
#define MAXIMUM(a, b) ((a) > (b) ? (a) : (b))
#define SHOW(fmt, ...) printf(fmt "\n", ##__VA_ARGS__)
#define FIRST(a, ...) a
#define REST(a, ...) __VA_ARGS__
#define COUNT_(a, b, c, d, n, ...) n
#define COUNT(...) COUNT_(__VA_ARGS__, 4, 3, 2, 1, 0)
#define LIST(X) X(red, 1) X(green, 2) X(blue, 4)
#define ENUM(n, v) n = v,
#define NAME(n, v) #n,
#define f(x) x + f(x)
#define EMPTY
#define LPAREN (
#define CALL(m, ...) m(__VA_ARGS__)
#define LOOP(i, n) for (int i = 0; i < (n); i++)
enum color { LIST(ENUM) }; static const char *names[] = { LIST(NAME) }; static int (f)(int x) { return x * 2; }
int main(void) { printf("%s %s %s\n", STR(N), XSTR(N), STR(a "b\n" 'c')); int x3 = 7, CAT(v, 1) = 4; printf("%d %d\n", XCAT(x, N), v1); SHOW("none"); SHOW("%d %d", 1, MAXIMUM(2, 3)); printf("%d %d %d\n", COUNT(a), COUNT(a, b, c), FIRST(9, 8, 7)); printf("%d %s %s\n", blue, names[1], STR(REST(1, 2, 3))); printf("%d\n", f(5)); EMPTY LOOP(i, N) printf("%d", i); printf("\n%d\n", CALL(MAXIMUM, 4, 6)); printf("%s|%s|%s\n", STR(), STR( a   b ), STR(- -1)); printf("%d %s\n", __LINE__, __FILE__[0] ? "file" : "");
#undef N
#define N 5 +
    printf("%d\n", N 1); int EMPTY y EMPTY = 1; printf("%d %s\n", y, XSTR(CAT(CAT, ALOG))); return 0; }
