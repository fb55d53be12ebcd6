#define EMPTY
#define f(x,y) x##y
f(EMPTY,1) f(1,EMPTY) f(f,3)
#define h(x) EMPTY x EMPTY
h(h(h(1)))
