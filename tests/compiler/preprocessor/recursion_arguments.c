#define f(x) x+f(x)
#define g f
f(f(1)) g(g)(2) f(g(3))
