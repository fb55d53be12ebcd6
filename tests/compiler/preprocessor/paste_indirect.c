#define xcat(a,b) a##b
#define indirect(a,b) xcat(a,b)
#define ab 17
indirect(a,b) xcat(a,b) indirect(indirect(1,2),3)
