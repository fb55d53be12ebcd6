int printf(const char *, ...);
struct p {
    int x, y;
};
static int sum(struct p *p) { return p->x + p->y; }
static int val(struct p p) { return p.x * p.y; }
static struct p *gp = &(struct p){3, 4};
int main(void) {
    printf("%d %d\n", sum(&(struct p){1, 2}), val((struct p){.y = 3, .x = 4}));
    int *a = (int[]){1, 2, 3};
    a[1] = 9;
    printf("%d %d\n", a[1], a[2]);
    struct p q;
    q = (struct p){5};
    printf("%d %d %d\n", q.x, q.y, gp->y);
    printf("%d\n", (struct p){7, 8}.y);
    printf("%zu\n", sizeof((int[]){1, 2, 3, 4}));
    printf("%d\n", (int){42});
    (int){1} = 2;
    int n = ((int[2]){10, 20})[1];
    printf("%d\n", n);
    char *s = (char[]){"abc"};
    s[0] = 'z';
    printf("%s\n", s);
    struct p *keep[3];
    for (int i = 0; i < 3; i++) {
        keep[i] = &(struct p){i, i * i};
        printf("%d %d,", keep[i]->x, keep[i]->y);
    }
    printf("%d\n", *&(int){3} + (*(&(struct p){1, 6})).y);
    const struct p *cp = (const struct p[]){{1, 2}, {3, 4}};
    printf("%d\n", cp[1].x);
    return 0;
}
