int printf(const char *, ...);
#define A 1
#define B
#define VER(a, b) ((a) * 100 + (b))
#if A && !defined(C) && VER(2, 3) >= 203
#define R1 "yes"
#elif 1
#define R1 "elif"
#else
#error never
#endif
#if 0
# error "unbalanced ' quotes
#  if 1
#  else
#  endif
#elif defined B && (1 ? 2 : 3) == 2
#define R2 1
#elif 1 / 0
#endif
#ifndef ZZ
#define ZZ (-1)
#endif
#ifdef ZZ
# if ZZ < 0u
#  define R3 0
# else
#  define R3 1
# endif
#endif
#if 'a' == 97 && '\n' == 10 && 0x10 == 16 && 010 == 8 && -1 >> 1 == -1 && (2 || 1 / 0) && 18446744073709551615u == -1
#define R4 1
#endif
#line 100 "other.c"
int line = __LINE__; const char *file = __FILE__;
#if UNKNOWN_NAME
#error unknown
#endif
#pragma unknown thing
int main(void) { printf("%s %d %d %d %d %s\n", R1, R2, R3, R4, line, file); _Pragma("once") printf("%d\n", __LINE__ > 100); printf("%d %d\n", __STDC__, __STDC_VERSION__ >= 201112L);
#ifdef __COUNTER__
    printf("%d\n", __COUNTER__ + 1 == __COUNTER__);
#endif
    printf("%d\n", __INCLUDE_LEVEL__); return 0; }
