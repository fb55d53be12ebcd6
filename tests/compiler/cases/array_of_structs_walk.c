int printf(const char *, ...);
struct p { char tag; long v; struct { short a[3]; } in; };
int main(void) {
    struct p all[4] = {{'a', 1, {{1, 2, 3}}}, [2] = {'c', .in.a = {[1] = 5}}, {.v = -4}};
    for (struct p *p = all; p < all + 4; p++) printf("%d %ld %d %d %d\n", p->tag, p->v, p->in.a[0], p->in.a[1], p->in.a[2]);
    printf("%td %zu\n", &all[3] - &all[1], (char *)&all[2].in.a[1] - (char *)all);
    return 0;
}
