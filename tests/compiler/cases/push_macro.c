// #pragma push_macro and pop_macro, as directives and as _Pragma; __TIMESTAMP__ has asctime's form
#include <stdio.h>
#define X 1
#define F(a) (a + 1)
#pragma push_macro("X")
#pragma push_macro("F")
#undef X
#define X 2
#undef F
int first = X;
#pragma push_macro("X")
#undef X
#pragma push_macro("X")
#define X 3
int second = X;
#pragma pop_macro("X")
#ifdef X
int third = 1;
#else
int third = 0;
#endif
_Pragma("pop_macro(\"X\")") int fourth = X;
#define BACK(name) _Pragma(#name)
BACK(pop_macro("X")) int fifth = X;
#ifdef F
int sixth = 1;
#else
int sixth = 0;
#endif
#pragma pop_macro("F")
int main(void) {
    printf("%d %d %d %d %d %d %d\n", first, second, third, fourth, fifth, sixth, F(6));
    printf("%zu %c\n", sizeof __TIMESTAMP__, __TIMESTAMP__[3]);
    return 0;
}
