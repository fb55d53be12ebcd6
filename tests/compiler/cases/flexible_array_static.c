int printf(const char *, ...);
struct v { int n; short d[]; };
static struct v s = {3, {1, 2, 3}};
struct z { char n; int d[0]; };
int main(void) {
    int t = 0; for (int i = 0; i < s.n; i++) t += s.d[i];
    printf("%d %zu %zu %zu\n", t, sizeof s, sizeof(struct z), __builtin_offsetof(struct v, d[2]));
    char m[32]; struct v *p = (void *)m; p->n = 1; p->d[4] = 7; printf("%d\n", ((short *)m)[6]);
    return 0;
}
