#define A1 B1 C1
#define B1 C1 A1
#define C1 A1 B1
A1 B1 C1
