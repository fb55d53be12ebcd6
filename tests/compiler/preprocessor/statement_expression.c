#define MAX(a,b) ({ typeof(a) _a = (a); typeof(b) _b = (b); _a > _b ? _a : _b; })
MAX(MAX(1,2), MAX(3, MAX(4,5)))
