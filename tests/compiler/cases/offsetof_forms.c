#include <stddef.h>
int printf(const char *, ...);
struct two {
    int a, b;
};
struct s {
    char c;
    struct {
        short a;
        union {
            int u;
            long l;
        };
    } in;
    int arr[5];
    struct {
        int x;
    } st[3];
    double d;
    char flex[];
};
static int idx[offsetof(struct s, arr[2])];
#define container_of(p, t, m) ((t *)((char *)(p)-offsetof(t, m)))
int main(void) {
    printf("%zu %zu %zu %zu %zu %zu\n", offsetof(struct s, c), offsetof(struct s, in), offsetof(struct s, in.a),
           offsetof(struct s, in.l), offsetof(struct s, arr[3]), offsetof(struct s, st[1].x));
    printf("%zu %zu %zu\n", offsetof(struct s, flex), sizeof(struct s), sizeof idx);
    struct s v;
    v.d = 2.5;
    printf("%f\n", container_of(&v.st[0], struct s, st)->d);
    printf("%zu\n", (size_t) & ((struct s *)0)->d);
    printf("%ld\n", (long)((char *)&v.arr[1] - (char *)&v));
    switch (4) {
    case offsetof(struct two, b):
        printf("b\n");
    }
    ptrdiff_t pd = &v.arr[3] - &v.arr[0];
    wchar_t w = L'x';
    max_align_t m;
    printf("%td %d %zu %d\n", pd, w, _Alignof(max_align_t), NULL == 0);
    (void)m;
    return 0;
}
