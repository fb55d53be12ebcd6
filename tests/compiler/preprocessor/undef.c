#define O 1
#undef O
#undef NEVER
O
#define O 2
#define O 2
O
#ifdef O
#undef O
#endif
O
