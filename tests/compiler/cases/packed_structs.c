int printf(const char *, ...);
struct __attribute__((packed)) a {
    char c;
    int i;
    long l;
    short s;
};
struct b {
    char c;
    struct a a;
    int i;
} __attribute__((packed));
struct c {
    short s;
    int i __attribute__((packed));
    char t;
};
struct __attribute__((packed, aligned(2))) d {
    char c;
    long l;
};
union __attribute__((packed)) u {
    char c;
    int i;
};
int main(void) {
    struct a a = {1, 0x11223344, -5, 7};
    struct b b = {2, a, 9};
    printf("%zu %zu %zu %zu %zu\n", sizeof a, sizeof b, sizeof(struct c), sizeof(struct d), _Alignof(union u));
    b.a.i++;
    b.a.l *= 3;
    b.i += b.a.s;
    printf("%x %ld %d\n", b.a.i, b.a.l, b.i);
    struct a v[3] = {a, {.l = 4}, {'x', 1, 2, 3}};
    printf("%ld %d %ld\n", v[1].l, v[2].s, (long)((char *)&v[2] - (char *)v));
    long *p = &v[1].l;
    *p = 77;
    printf("%ld\n", v[1].l);
    struct c c = {1, 2, 3};
    c.i = 500;
    printf("%d %d %zu\n", c.i, c.t, __builtin_offsetof(struct c, i));
    static struct a st = {1, 2, 3, 4};
    unsigned char *q = (unsigned char *)&st;
    for (unsigned i = 0; i < sizeof st; i++)
        printf("%02x", q[i]);
    return 0;
}
