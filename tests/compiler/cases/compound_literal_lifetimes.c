int printf(const char *, ...);
struct p { int x, y; };
static struct p *global = &(struct p){1, 2};
static int add(const struct p *p) { return p->x + p->y; }
int main(void) {
    int t = 0;
    for (int i = 0; i < 3; i++) t += add(&(struct p){.y = i});
    int *a = (int[]){1, 2, 3, 4}; a[2] = 9;
    printf("%d %d %d %d\n", t, a[2], global->y++, global->x);
    printf("%zu %c %d\n", sizeof(int[]){1, 2}, ((char[]){"hey"})[1], (int){7}++);
    struct p q = (struct p){3, 4}; q = (struct p){q.y, q.x}; printf("%d %d\n", q.x, q.y);
    return 0;
}
