int printf(const char *, ...);
static long number(const char **s) { long v = 0; int neg = **s == '-'; *s += neg; while (**s >= '0' && **s <= '9') v = v * 10 + *(*s)++ - '0'; return neg ? -v : v; }
static long sum(const char **); static long atom(const char **s) { if (**s == '(') { ++*s; long v = sum(s); ++*s; return v; } return number(s); }
static long product(const char **s) { long v = atom(s); while (**s == '*' || **s == '/') if (*(*s)++ == '*') v *= atom(s); else v /= atom(s); return v; }
static long sum(const char **s) { long v = product(s); while (**s == '+' || **s == '-') { char c = *(*s)++; long w = product(s); v = c == '+' ? v + w : v - w; } return v; }
int main(void) { const char *t[] = {"1+2*3", "(1+2)*3-4/2", "-5*(2-8)", "100/(7-2)/3*2"}; for (unsigned i = 0; i < 4; i++) { const char *s = t[i]; printf("%s=%ld\n", t[i], sum(&s)); } return 0; }
