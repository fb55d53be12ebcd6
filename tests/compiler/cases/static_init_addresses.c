int printf(const char *, ...);
int x = 5, arr[4] = {1, 2, 3, 4};
int *p = &x, *q = &arr[2], *e = arr + 4, **pp = &p;
const char *s = "hello" + 1, *t = &"world"[2];
struct n {
    struct n *next;
    int v;
    struct {
        int *p;
        char c;
    } in;
} a, b = {&a, 2, {arr, 'b'}}, a = {&b, 1, {&arr[3], 'a'}};
static int f(int v) { return v * 2; }
static int g(int v) { return v + 1; }
int (*table[])(int) = {f, g, &f, *g};
char *c = (char *)&x;
long n = (long)sizeof arr;
unsigned long diff = &arr[3] - &arr[1];
int *m = &b.v;
int **ip = &b.in.p;
char *cp = &a.in.c;
void *vp = (void *)f;
const int *const lit = (int[]){7, 8, 9};
struct n *sl = &(struct n){&a, 42};
const char *names[] = {"x", 0, "yy"};
unsigned long off = (unsigned long)&((struct n *)0)->in.c;
int (*fp)(int) = 0;
int z = !5;
_Bool bb = &x;
double dd = 3;
float ff = 1 / 2.0;
int fromd = 2.9;
char chr = 'A' + 1;
int main(void) {
    printf("%d %d %d %d %s %s\n", *p, *q, e[-1], **pp, s, t);
    printf("%d %d %d %c\n", b.next->v, a.next->v, *a.in.p, b.in.c);
    for (int i = 0; i < 4; i++)
        printf("%d ", table[i](10));
    printf("%d %ld %lu %d %d %c\n", *(int *)c, n, diff, *m, **ip, *cp);
    printf("%d %d %d %s %d %s\n", lit[1], sl->v, sl->next->v, names[0], names[1] == 0, names[2]);
    printf("%lu %d %d %d %f %f %d %c %d\n", off, fp == 0, z, bb, dd, ff, fromd, chr, vp == (void *)f);
    return 0;
}
