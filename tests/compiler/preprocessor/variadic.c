#define e(...) (__VA_ARGS__)
e() e(,) e( a , b ,c) e((a,b))
#define e2(a, ...) (a|__VA_ARGS__)
e2(1) e2(1,) e2(1,2,3) e2()
