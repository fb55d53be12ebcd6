#define HAS defined(FOO) && FOO > 2
#define FOO 3
#if HAS
has
#endif
#if (0 && 1/0) || 1
ok
#endif
#if 1 ? 2 : 1/0
ok2
#endif
#if -1 > 0u
ok3
#endif
#if (2 || 1/0) && 'a' == 97 && '\377' < 0 && L'\377' > 0
ok4
#endif
#if 0xFFFFFFFFFFFFFFFF == -1 && 18446744073709551615u / 2 == 0x7fffffffffffffff
ok5
#endif
#if -7 / 2 == -3 && -7 % 2 == -1 && (-8 >> 1) == -4 && ~0 == -1 && !0 && 1 << 3 == 8
ok6
#endif
#if (0 ? 1u : -1) > 0
ok7
#endif
#if 010 == 8 && 0b11 == 3 && 10ULL == 10lu
ok8
#endif
#if 3 - 2 - 1 == 0 && 2 + 3 * 4 == 14 && (1, 2) == 2
ok9
#endif
#if 1 == 2 ? 0 : 3 > 2 ? 1 : 0
ok10
#endif
#if (-1 ? 0u : 0) == 0 && 1 | 2 ^ 3 & 4
ok11
#endif
