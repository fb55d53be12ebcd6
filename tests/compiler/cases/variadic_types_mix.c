int printf(const char *, ...);
typedef __builtin_va_list va_list;
#define va_start __builtin_va_start
#define va_copy __builtin_va_copy
#define va_end __builtin_va_end
#define va_arg __builtin_va_arg
struct big { long a[4]; }; struct small { int x, y; };
static double all(const char *t, ...) { va_list ap, again; va_start(ap, t); va_copy(again, ap); double r = 0; for (; *t; t++) switch (*t) { case 'i': r += va_arg(ap, int); break; case 'l': r += va_arg(ap, long); break; case 'd': r += va_arg(ap, double); break; case 's': r += va_arg(ap, struct small).y; break; case 'b': r += va_arg(ap, struct big).a[3]; break; case 'p': r += *va_arg(ap, char *); } va_end(ap); r += va_arg(again, int) * 1000; va_end(again); return r; }
int main(void) { struct big b = {{1, 2, 3, 4}}; struct small s = {5, 6}; char c = 7; float f = 0.5f; printf("%g\n", all("iiiiiiiil", c, 2, 3, 4, 5, 6, 7, 8, 9L)); printf("%g\n", all("idsbpdddddddddi", 1, f, s, b, "A", 1., 2., 3., 4., 5., 6., 7., 8., 9., 10)); return 0; }
