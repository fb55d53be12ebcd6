#define plus +
+plus -plus- plus= plus+ <plus< .plus. plus plus
#define minus -
-minus x-minus >minus> minus>
#define EM
a EM+EM+b -EM- EM-
#define dot .
..dot dot dot
#define sl /
sl/ sl* x
