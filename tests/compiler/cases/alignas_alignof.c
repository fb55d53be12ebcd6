int printf(const char *, ...);
struct a {
    char c;
    _Alignas(16) int x;
};
struct b {
    char c;
    int x __attribute__((aligned(32)));
};
struct __attribute__((aligned(64))) c {
    char c;
};
struct d {
    char c;
    long l;
} __attribute__((packed));
struct e {
    char c;
    struct d d;
    int i;
};
typedef int aligned_int __attribute__((aligned(16)));
struct f {
    char c;
    aligned_int i;
};
struct g {
    char c;
    struct c in;
};
_Alignas(32) char buf[3];
static _Alignas(long) char lb;
_Alignas(64) static int big;
union u {
    char c;
    _Alignas(16) short s;
};
struct h {
    short a;
    char b;
} __attribute__((packed, aligned(4)));
struct i {
    int x;
} __attribute__((aligned));
struct j {
    char a;
    struct {
        char b;
        int c;
    } __attribute__((packed)) k;
};
int main(void) {
    printf("%zu %zu %zu %zu %zu %zu %zu %zu\n", sizeof(struct a), sizeof(struct b), sizeof(struct c), sizeof(struct d),
           sizeof(struct e), sizeof(struct f), sizeof(struct g), sizeof(union u));
    printf("%zu %zu %zu %zu %zu\n", _Alignof(struct a), _Alignof(struct d), __alignof__(struct e), _Alignof(double),
           _Alignof(struct h));
    _Alignas(128) int local = 5;
    struct c s;
    printf("%lu %lu %lu %lu\n", (unsigned long)&local % 128, (unsigned long)&s % 64, (unsigned long)buf % 32,
           (unsigned long)&big % 64);
    printf("%zu %zu\n", sizeof(struct h), sizeof(struct i));
    printf("%zu %zu\n", __alignof__(local), sizeof(struct j));
    struct d p = {1, 2};
    p.l += p.c;
    long *q = &p.l;
    *q += 40;
    printf("%ld\n", p.l);
    printf("%zu\n", __builtin_offsetof(struct e, i));
    struct f arr[2] = {{1, 2}, {3, 4}};
    printf("%d %zu\n", arr[1].i, sizeof arr);
    lb = 0;
    return lb;
}
