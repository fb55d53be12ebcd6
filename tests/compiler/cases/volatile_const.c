int printf(const char *, ...);
const int k = 5;
const char *const names[] = {"a", "b"};
volatile int vg = 3;
static const struct {
    int a;
    const char *b;
} cs = {1, "x"};
struct d {
    volatile int st;
    const int ro;
} d = {1, 2};
int main(void) {
    const int *p = &k;
    int const *q = p;
    volatile const int vc = 7;
    printf("%d %d %d %s\n", *p, *q, vc, names[1]);
    vg++;
    vg += vg;
    printf("%d\n", vg);
    volatile int *vp = &vg;
    *vp = 9;
    (*vp)--;
    printf("%d\n", *vp);
    int *const cp = (int *)&vg;
    *cp = 1;
    printf("%d %s\n", vg, cs.b);
    d.st |= 6;
    printf("%d %d\n", d.st, d.ro);
    volatile struct { int x : 4; } vb = {3};
    vb.x++;
    printf("%d\n", vb.x);
    char const volatile *cv = "z";
    printf("%c\n", *cv);
    typedef const int ci;
    ci arr[2] = {1, 2};
    printf("%d\n", arr[1]);
    volatile double vd = 1.5;
    vd *= 2;
    printf("%f\n", vd);
    volatile int va[3] = {1, 2, 3};
    va[1] = va[0] + va[2];
    printf("%d\n", va[1]);
    return 0;
}
