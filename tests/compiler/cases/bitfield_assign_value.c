int printf(const char *, ...);
struct s {
    int a : 3;
    unsigned b : 3;
} g;
int main(void) {
    int x = g.a = 7;
    unsigned y = g.b = 15;
    printf("%d %u\n", x, y);
    printf("%d\n", g.a += 3);
    printf("%d\n", g.b -= 9);
    printf("%d\n", g.a++ + g.b);
    struct s *p = &g;
    p->a = p->b = 5;
    printf("%d %d\n", p->a, p->b);
    printf("%d\n", (p->a = 1, p->a | 2));
    x = (p->b = 9) ? p->b : 100;
    printf("%d\n", x);
    struct s arr[3] = {{1, 2}, {.b = 6}, {-4}};
    for (int i = 0; i < 3; i++)
        printf("%d %d;", arr[i].a, arr[i].b);
    struct s copy = arr[1];
    copy.a = 2;
    printf("\n%d %d %d\n", copy.a, copy.b, arr[1].a);
    return 0;
}
