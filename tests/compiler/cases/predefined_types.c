// the predefined types, limits and letters that <stdint.h>, <stdatomic.h> and <inttypes.h> are made of
#include <stdio.h>
#define INTEGER(name)                                                                                                          \
    do {                                                                                                                       \
        __INT##name##_TYPE__ s = __INT##name##_MAX__;                                                                          \
        __UINT##name##_TYPE__ u = __UINT##name##_MAX__;                                                                        \
        printf(#name " %zu %d %" __INT##name##_FMTd__ " %" __UINT##name##_FMTu__ " %" __UINT##name##_FMTx__ "\n", sizeof s,    \
               (int)(8 * sizeof u), s, u, u);                                                                                \
    } while (0)
int main(void) {
#ifdef __clang__
    INTEGER(8); INTEGER(16); INTEGER(32); INTEGER(64);
    INTEGER(_LEAST8); INTEGER(_LEAST16); INTEGER(_LEAST32); INTEGER(_LEAST64);
    INTEGER(_FAST8); INTEGER(_FAST16); INTEGER(_FAST32); INTEGER(_FAST64); INTEGER(MAX); INTEGER(PTR);
    printf("%zu %lu %d %zu\n", sizeof(__SIZE_TYPE__), __SIZE_MAX__, __PTRDIFF_WIDTH__, sizeof(__PTRDIFF_TYPE__));
    printf("%d %d %d\n", __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, __GCC_ATOMIC_INT_LOCK_FREE, __BOOL_WIDTH__);
    printf("%zu %zu %zu %d\n", sizeof(__WCHAR_TYPE__), sizeof(__CHAR16_TYPE__), sizeof(__CHAR32_TYPE__), __SIZEOF_WINT_T__);
    printf("%u %lu %d\n", __FLT_RADIX__, sizeof __DBL_NORM_MAX__, __LDBL_HAS_INFINITY__);
#endif
    return 0;
}
