int printf(const char *, ...);
_Static_assert(sizeof(int) == 4, "int");
_Static_assert(1);
struct s {
    int a;
    _Static_assert(sizeof(long) == 8, "long");
    int b;
};
_Static_assert(__builtin_offsetof(struct s, b) == 4, "b");
enum { N = 3 };
_Static_assert(N * 2 == 6 && !0, "");
_Static_assert((char)-1 < 0, "signed");
_Static_assert(-1 >> 1 == -1, "");
_Static_assert(~0u == 0xffffffff, "");
_Static_assert('a' == 97 && L'a' == 97, "");
_Static_assert((1 ? 2 : 3) == 2, "");
_Static_assert((int)2.9 == 2, "");
_Static_assert(1 || N, "");
_Static_assert(sizeof(char[N]) == 3, "");
_Static_assert(1.5 > 1, "");
_Static_assert(0x7fffffff + 1u == 0x80000000, "");
_Static_assert(__builtin_types_compatible_p(int, const int), "");
_Static_assert((unsigned char)257 == 1, "");
_Static_assert(_Alignof(double) == 8, "");
_Static_assert((long)&((struct s *)0)->b == 4, "");
_Static_assert(sizeof "abc" == 4, "");
_Static_assert(5 % -3 == 2 && -5 % 3 == -2 && -5 / 3 == -1, "");
int main(void) {
    _Static_assert(sizeof(struct s) == 8, "s");
    for (int i = 0; i < 1; i++) {
        _Static_assert(1, "");
    }
    switch (1) {
    case sizeof(int) - 3:
        printf("ok\n");
    }
    return 0;
}
