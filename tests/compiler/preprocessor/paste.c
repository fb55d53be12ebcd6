#define cat(a,b) a##b
cat(+,+) cat(-,>) cat(<,<=) cat(.,5) cat(1,e5) cat(L,'a') cat(L,"x") cat(u8,"x") cat(,) x
