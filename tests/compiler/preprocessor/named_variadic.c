#define va(x, y...) x y #y
va(1) va(1,2,3) va(1, 2 , 3 )
#define vo(y...) [y]
vo() vo(1,2)
