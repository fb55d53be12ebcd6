#ifdef __has_include
#if __has_include(<definitely/not/here.h>)
no
#else
yes
#endif
#endif
#if defined __has_attribute
attr
#endif
#ifndef A
#define A
#elif 1
no
#endif
#if defined A && !defined(B)
AB
#endif
