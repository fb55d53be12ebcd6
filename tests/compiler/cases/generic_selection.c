int printf(const char *, ...);
#define NAME(x)                                                                                                                  \
    _Generic((x), char: "char", signed char: "schar", unsigned char: "uchar", short: "short", unsigned short: "ushort", int: "int", unsigned: "uint", long: "long", unsigned long: "ulong", long long: "llong", unsigned long long: "ullong", float: "float", double: "double", _Bool: "bool", char *: "char*", const char *: "cchar*", void *: "void*", int *: "int*", default: "other")
struct s {
    int b : 3;
};
int f(int);
enum e { E };
int main(void) {
    char c = 0;
    short s = 0;
    unsigned u = 0;
    const int ci = 1;
    int a[3];
    struct s st = {0};
    volatile long vl = 0;
    const char *cc = 0;
    void *v = 0;
    _Bool b = 0;
    float fl = 0;
    printf("%s %s %s %s %s\n", NAME(c), NAME(s), NAME(u), NAME(ci), NAME(a));
    printf("%s %s %s %s\n", NAME(vl), NAME(cc), NAME(v), NAME("lit"));
    printf("%s %s %s %s %s\n", NAME(c + c), NAME(s + u), NAME(1L), NAME(1ULL), NAME('a'));
    printf("%s %s %s %s\n", NAME(1.0), NAME(1.0f), NAME(fl * 2), NAME(fl + 1.0));
    printf("%s %s %s %s\n", NAME(b), NAME(!u), NAME(u == 1), NAME(st));
    printf("%s %s %s\n", NAME(sizeof u), NAME(&a[1] - a), NAME((char)1));
    printf("%s %s\n", NAME(1 ? 1 : 2u), NAME((unsigned char)1 << 1));
    printf("%s %s %s %s\n", NAME(0x80000000), NAME(2147483648), NAME(0xffffffffffffffff), NAME(4294967295));
    printf("%s %s\n", NAME(&ci == 0), NAME(E));
    printf("%s %s %s\n", NAME(1LL + 1UL), NAME(-1U + 1L), NAME(~b));
    printf("%s\n", NAME(f));
    return _Generic(c, default : 3, int : 4) + _Generic(1, int : 5);
}
