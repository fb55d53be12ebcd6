int printf(const char *, ...);
static int f(register int a) { register char *p = (char *)&(int){a}; auto int r = 0; for (register int i = 0; i < 4; i++) r += p[i]; return r; }
static volatile int v = 3; static int *restrict rp; 
int main(void) { const volatile int cv = 7; v += cv; v++; int t = v * v; rp = &t; printf("%d %d %d\n", f(0x01020304), v, *rp); return 0; }
