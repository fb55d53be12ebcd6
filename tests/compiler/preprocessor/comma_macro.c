#define COMMA ,
#define P(a,b) (a;b)
#define Q(x) P(x)
Q(1 COMMA 2)
