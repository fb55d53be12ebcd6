__LINE__ __INCLUDE_LEVEL__
#define L __LINE__
L

L
#line 100 "foo.c"
__LINE__ __FILE__
#define CNT __COUNTER__
CNT CNT __COUNTER__
# 200 "bar.c"
__LINE__ __FILE__
#define LN(x) x##__LINE__
#define LN2(x) LN(x)
LN2(a) LN(a)
