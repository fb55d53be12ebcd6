#define c(x) ,x
#define d(x,y) x-y
#define i(x) d(x)
i(c(1)) i(1 c(2)) 
