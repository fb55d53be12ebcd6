int printf(const char *, ...);
struct in { short a[3]; char c; }; struct out { struct in i[2]; long l; };
static struct out twist(struct out o) { struct in t = o.i[0]; o.i[0] = o.i[1]; o.i[1] = t; o.l = -o.l; return o; }
int main(void) { struct out o = {{{{1, 2, 3}, 'x'}, {{4, 5, 6}, 'y'}}, 99}, p = twist(o), *q = &p; printf("%d %c %ld %d\n", p.i[0].a[1], p.i[1].c, q->l, o.i[0].a[0]); *q = twist(twist(*q)); q->i[1] = q->i[0]; printf("%d %d %ld\n", q->i[1].a[2], twist(p).i[0].a[2], p.l); struct out z = {0}; z = o; z.i[1].c++; printf("%c %c\n", z.i[1].c, o.i[1].c); return 0; }
