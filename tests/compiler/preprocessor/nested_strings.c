#define S(x) #x
#define XS(x) S(x)
#define nest(x) S(x) XS(x)
#define v 1,2
nest((v)) XS(a  +  b) XS( (v) ) nest("a\n")
