int printf(const char *, ...);
static void set(int **pp, int *to) { *pp = to; }
static int count(char **v) { int n = 0; while (*v++) n++; return n; }
int main(void) {
    int a = 1, b[2][2] = {{1, 2}, {3, 4}}, *p = 0, **pp = &p, ***ppp = &pp;
    set(&p, &a); **pp = 5; ***ppp += 2; printf("%d\n", a);
    *pp = b[1]; printf("%d %d %d\n", *p, p[-1], (**ppp)[1]);
    char *v[] = {"a", "bc", "def", 0}; printf("%d %c %c\n", count(v), *(*(v + 2) + 1), v[1][1]);
    return 0;
}
