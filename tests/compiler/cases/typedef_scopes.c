int printf(const char *, ...);
typedef int T;
typedef T *PT;
typedef T A[3];
typedef struct node {
    struct node *next;
    T v;
} node, *list;
typedef int (*fp)(T);
typedef unsigned long ulong_t, *pul;
static T id(T T) { return T; }
int main(void) {
    T x = 3;
    {
        int T = 4;
        printf("%d\n", T * x);
        {
            typedef char T;
            T c = 300 - 256;
            printf("%d %zu\n", c, sizeof(T));
        }
        printf("%zu\n", sizeof T);
    }
    T y = 5;
    PT p = &y;
    A a = {1, 2, 3};
    printf("%d %d\n", *p, a[2]);
    node n2 = {0, 7}, n1 = {&n2, 6};
    list l = &n1;
    printf("%d %d\n", l->next->v, l->v);
    fp f = id;
    printf("%d\n", f(9));
    for (T T = 0; T < 2; T++)
        printf("%d", T);
    printf("\n");
    struct T {
        T T;
    } s = {8};
    printf("%d\n", s.T);
    enum { E = sizeof(T) };
    const T k = E;
    printf("%d\n", k);
    typedef T T2;
    T2 z = 2;
    ulong_t u = 1;
    pul q = &u;
    printf("%d %lu\n", z, *q);
    (T) x;
    (void)(T)1.5;
    printf("%d\n", (T)2.7);
    {
        extern int printf(const char *, ...);
        typedef struct {
            int a;
        } T;
        T t = {3};
        printf("%d\n", t.a);
    }
    typedef T F(T);
    F *g = id;
    printf("%d\n", g(4));
    long unsigned typedef int lu;
    printf("%zu\n", sizeof(lu));
    return 0;
}
