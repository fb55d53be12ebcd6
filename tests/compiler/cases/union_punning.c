int printf(const char *, ...);
union u { float f; unsigned u; unsigned char b[4]; struct { unsigned m : 23, e : 8, s : 1; }; }; union d { double d; unsigned long l; int i[2]; };
int main(void) { union u u = {.f = -6.25f}; printf("%x %d %d %x %x\n", u.u, u.s, u.e - 127, u.m, u.b[3]); u.e++; u.s = 0; printf("%g\n", u.f); union d d = {3.5}; printf("%lx %x\n", d.l, d.i[1]); d.l |= 1ul << 63; printf("%g %zu\n", d.d, sizeof(union d)); union u v = u, *p = &v; p->b[0] = 255; printf("%x %g\n", v.u, (union u){.u = 0x3f800000}.f); return 0; }
