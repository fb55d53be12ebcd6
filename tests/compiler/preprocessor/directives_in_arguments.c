#define EVERY(x) x
EVERY(
#if 1
a
#else
b
#endif
)
