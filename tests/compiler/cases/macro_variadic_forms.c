int printf(const char *, ...);
#define show(fmt, ...) printf(fmt "\n", ##__VA_ARGS__)
#define named(args...) printf(args)
#define opt(x, ...) printf("%d" __VA_OPT__("/%d") "\n", x __VA_OPT__(, ) __VA_ARGS__)
#define count_(a, b, c, d, n, ...) n
#define count(...) count_(__VA_ARGS__, 4, 3, 2, 1, 0)
#define str(...) #__VA_ARGS__
int main(void) {
    show("none"); show("%d", 1); show("%d %s", 2, "x,y"); named("%c%c\n", 'a', 'b'); opt(1); opt(1, 2);
    printf("%d %d %d\n", count(a), count(a, b), count((a, b), c, d)); printf("[%s] [%s]\n", str(a, b ,c), str());
    return 0;
}
