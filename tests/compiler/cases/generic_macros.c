int printf(const char *, ...);
#define DEFINE_STACK(T)                                                                                                          \
    typedef struct {                                                                                                             \
        T items[8];                                                                                                              \
        int n;                                                                                                                   \
    } stack_##T;                                                                                                                 \
    static void push_##T(stack_##T *s, T v) { s->items[s->n++] = v; }                                                            \
    static T pop_##T(stack_##T *s) { return s->items[--s->n]; }
#define container(p, t, m)                                                                                                       \
    ({                                                                                                                           \
        const __typeof__(((t *)0)->m) *_m = (p);                                                                                 \
        (t *)((char *)_m - __builtin_offsetof(t, m));                                                                            \
    })
#define for_each(i, a) for (__typeof__(*(a)) *i = (a), *_end = (a) + sizeof(a) / sizeof *(a); i != _end; i++)
#define min(a, b)                                                                                                                \
    ({                                                                                                                           \
        __typeof__(a) _a = (a);                                                                                                  \
        __typeof__(b) _b = (b);                                                                                                  \
        _a < _b ? _a : _b;                                                                                                       \
    })
typedef char *str;
DEFINE_STACK(int) DEFINE_STACK(double) DEFINE_STACK(str) struct li { struct li *n; };
struct item {
    int v;
    struct li l;
};
int main(void) {
    stack_int s = {.n = 0};
    stack_double d = {{0}};
    stack_str t = {{0}, 0};
    push_int(&s, 3);
    push_int(&s, 4);
    push_double(&d, 2.5);
    push_str(&t, "top");
    printf("%d ", pop_int(&s));
    printf("%d %g %s\n", s.n, pop_double(&d), pop_str(&t));
    struct item a = {1, {0}}, b = {2, {&a.l}};
    printf("%d\n", container(b.l.n, struct item, l)->v);
    int arr[] = {5, 2, 9};
    int sum = 0;
    for_each(i, arr) sum += *i;
    printf("%d %d\n", sum, min(min(3, 2), min(sum, 7)));
    short sh[] = {1, 2, 3};
    for_each(p, sh) printf("%d", *p);
    return 0;
}
