#define pr _Pragma("unroll") x
pr
_Pragma("clang loop unroll(full)") y
#pragma foo bar  baz
z
#define id(x) x
