#define f() g
#define g() f
f()()()() g()()()
