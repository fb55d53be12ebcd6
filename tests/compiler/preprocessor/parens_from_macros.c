#define NULL_()
#define LP (
#define RP )
#define f(x) <x>
#define call f LP 1 RP
call
f LP 1 RP
#define e(x) x
e(call) e(f LP 1 RP) e(e(e)(call))
