int printf(const char *, ...);
void *malloc(unsigned long);
void free(void *);
void *memcpy(void *, const void *, unsigned long);
struct f {
    int n;
    char data[];
};
struct z {
    short n;
    int v[0];
};
struct g {
    int n;
    int v[];
} g = {3, {1, 2, 3}};
static struct {
    char c;
    const char *s[];
} names = {2, {"x", "y"}};
struct e {
    int a;
    struct {
    } none;
    int b;
};
int main(void) {
    printf("%zu %zu %zu\n", sizeof(struct f), sizeof(struct z), sizeof(struct g));
    struct f *p = malloc(sizeof *p + 10);
    p->n = 5;
    memcpy(p->data, "hello", 6);
    printf("%d %s\n", p->n, p->data);
    free(p);
    printf("%d %d\n", g.v[0], g.v[2]);
    printf("%s%s\n", names.s[0], names.s[1]);
    struct z *z = malloc(40);
    z->v[3] = 9;
    printf("%d %ld\n", z->v[3], (long)((char *)z->v - (char *)z));
    free(z);
    int zero[0];
    printf("%zu %zu\n", sizeof zero, sizeof(struct e));
    return 0;
}
