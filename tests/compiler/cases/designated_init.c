int printf(const char *, ...);
struct p {
    int x, y;
};
struct s {
    int a;
    struct p p[3];
    int b[4];
    struct {
        int c;
    } d;
};
struct s g = {.b = {[1] = 5, 6}, .p[1].y = 7, .p[2] = {8, 9}, .d.c = 3, .a = 1};
int r[] = {[2] = 1, [5 ... 8] = 9, 10, [0] = 4, 5};
int m[3][2] = {[1] = {1, 2}, [2][1] = 5, [0][0] = 7};
static void show(const struct s *s) {
    printf("%d %d %d %d %d %d %d %d %d %d %d %d\n", s->a, s->p[0].x, s->p[0].y, s->p[1].x, s->p[1].y, s->p[2].x, s->p[2].y,
           s->b[0], s->b[1], s->b[2], s->b[3], s->d.c);
}
int main(int argc, char **argv) {
    show(&g);
    printf("%zu:", sizeof r / sizeof *r);
    for (unsigned i = 0; i < sizeof r / sizeof *r; i++)
        printf(" %d", r[i]);
    printf("\n%d %d %d %d %d %d\n", m[0][0], m[0][1], m[1][0], m[1][1], m[2][0], m[2][1]);
    struct s l = {.p = {[0] = {argc, 2}, [2].x = 5}, .p[0].y = argc + 9, .b[1 ... 2] = argc};
    show(&l);
    struct s t = {.p[1] = {.y = 4}, 5, 6, 7};
    show(&t);
    struct p q = {.x = 1, .x = 2};
    printf("%d\n", q.x);
    struct p old = {y : 3, x : 4};
    printf("%d %d\n", old.x, old.y);
    int a[] = {[3] 8, 9};
    printf("%zu %d\n", sizeof a, a[4]);
    return 0;
}
