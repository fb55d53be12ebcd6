#define f(x) [x g
#define g(x) {x f
f(1)(2)(3)(4)
