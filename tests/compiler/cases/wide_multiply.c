int printf(const char *, ...);
static unsigned long hi(unsigned long a, unsigned long b) { unsigned long al = (unsigned)a, ah = a >> 32, bl = (unsigned)b, bh = b >> 32, m = ah * bl + (al * bl >> 32), n = al * bh + (unsigned)m; return ah * bh + (m >> 32) + (n >> 32); }
int main(void) { unsigned long a = 0xdeadbeefcafebabe, b = 0x123456789abcdef1; printf("%lx %lx\n", hi(a, b), a * b); printf("%d\n", hi(a, b) == (unsigned long)((unsigned __int128)a * b >> 64)); int x = 65536; printf("%ld %u\n", (long)x * x, (unsigned)x * x); return 0; }
