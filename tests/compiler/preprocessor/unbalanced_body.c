#define A(x) B(x
#define B(x) [x]
A(1)) A(2))
