int printf(const char *, ...);
struct p {
    int x, y;
};
struct q {
    struct p a, b;
    int c[2][2];
    char d[4];
};
struct q g = {1, 2, 3, 4, 5, 6, 7, 8, "ab"}, h = {{1}, {2}, {3}, {4}}, k = {1, 2, {3}, {{4}, 5}, {6, 7}};
int m[2][3] = {1, 2, 3, 4}, n[2][3] = {{1}, 2, 3}, o[][2] = {1, 2, 3, 4, 5}, v[2][2][2] = {{1, 2, 3}, {{4}, {5, 6}}};
static void show(struct q *s) {
    printf("%d %d %d %d %d %d %d %d %s\n", s->a.x, s->a.y, s->b.x, s->b.y, s->c[0][0], s->c[0][1], s->c[1][0], s->c[1][1], s->d);
}
int main(void) {
    show(&g);
    show(&h);
    show(&k);
    for (int i = 0; i < 6; i++)
        printf("%d %d ", m[i / 3][i % 3], n[i / 3][i % 3]);
    printf("\n%zu %d %d\n", sizeof o, o[2][0], o[2][1]);
    for (int i = 0; i < 8; i++)
        printf("%d ", v[i >> 2][i >> 1 & 1][i & 1]);
    struct p z = {9, 8};
    struct q l = {z, 1, 2, {3}, 'x'};
    show(&l);
    struct q l2 = {{5}, z};
    show(&l2);
    struct q l3 = {5, 6, z, 7};
    show(&l3);
    struct p ar[] = {1, 2, z, 3, 4, {5}};
    printf("%zu", sizeof ar / sizeof *ar);
    for (unsigned i = 0; i < sizeof ar / sizeof *ar; i++)
        printf(" %d,%d", ar[i].x, ar[i].y);
    int s = {5}, w = {{6}};
    printf("\n%d %d\n", s, w);
    struct p e = {};
    printf("%d %d\n", e.x, e.y);
    int em[3] = {};
    printf("%d\n", em[2]);
    return 0;
}
