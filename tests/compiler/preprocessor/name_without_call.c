#define f(x) (x)
f
#define y 3
(y)
f
f f(1)
