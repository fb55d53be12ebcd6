int printf(const char *, ...);
_Static_assert(sizeof(int) == 4, "int");
struct s { int a; _Static_assert(1, "in a struct"); char b; };
int main(void) { _Static_assert(__builtin_offsetof(struct s, b) == 4, "offset"); for (int i = 0; i < 1; i++) { _Static_assert('a' < 'b', ""); printf("%zu\n", sizeof(struct s)); } return 0; }
