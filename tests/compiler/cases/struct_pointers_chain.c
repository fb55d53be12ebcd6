int printf(const char *, ...);
struct c {
    int v[3];
    struct {
        short x, y;
    } p[2];
};
struct b {
    struct c *c;
    struct c in;
    int (*f)(struct b *, int);
};
struct a {
    struct b *b, *list[2];
    union {
        struct b *alt;
        long raw;
    };
};
static int call(struct b *b, int k) { return b->c->v[k] + b->in.p[1].y; }
int main(void) {
    struct c c = {{1, 2, 3}, {{4, 5}, {6, 7}}};
    struct b b = {&c, c, call};
    struct a a = {&b, {&b, &b}, {&b}}, *pa = &a, **ppa = &pa;
    printf("%d %d %d\n", a.b->c->v[1], pa->list[1]->in.p[0].x, (*ppa)->alt->c->p[1].y);
    pa->b->c->v[2] += 10;
    (*pa->list)->in.v[0]--;
    printf("%d %d\n", c.v[2], b.in.v[0]);
    printf("%d\n", pa->b->f(pa->alt, 2));
    printf("%d\n", (&(*ppa)->b->in)->p[1].x++);
    printf("%d\n", b.in.p[1].x);
    printf("%d\n", (*(*pa).b).c[0].v[0]);
    printf("%d\n", pa->raw == (long)&b);
    struct c *cc = &pa->b->in;
    cc->p[0] = cc->p[1];
    printf("%d\n", b.in.p[0].x);
    short *s = &cc->p->y;
    *s = 99;
    printf("%d\n", b.in.p[0].y);
    return (pa->list[0] == pa->b) + ((char *)&b.in - (char *)&b == 8);
}
