#define g1(x) f1(x)
#define f1(x) g1
f1(1)(2)(3)(4)
g1(g1)(1)
g1(f1(g1))(1)(2)
