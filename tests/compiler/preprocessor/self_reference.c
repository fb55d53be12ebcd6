#define a a b
#define b b a
a b
#define k(x) x x
k(k)(1) k(k(k))(2) k(k k)
