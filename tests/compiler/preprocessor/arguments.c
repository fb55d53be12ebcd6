#define obj() x
#define f2(a,b) <a|b>
f2(,) f2((a,b),c) f2( a , b ) obj() obj( ) f2({1,2) f2([1,2])
