int printf(const char *, ...);
struct __attribute__((packed)) p {
    char x;
    int a : 5;
    unsigned b : 14;
    long c : 33;
    int d : 7;
    short y;
};
struct q {
    char x;
    struct __attribute__((packed)) {
        int u : 31;
        int v : 30;
    } i;
    int z : 3;
};
struct r {
    char c;
    int a : 20 __attribute__((packed));
    int b : 12;
};
int main(void) {
    struct p p = {1, -3, 10000, -4000000000L, 33, -7};
    printf("%zu %zu %zu\n", sizeof(struct p), sizeof(struct q), sizeof(struct r));
    printf("%d %d %u %ld %d %d\n", p.x, p.a, p.b, (long)p.c, p.d, p.y);
    p.b = 77;
    p.c = 12345678901L;
    p.d = -1;
    p.a++;
    printf("%d %d %u %ld %d %d\n", p.x, p.a, p.b, (long)p.c, p.d, p.y);
    unsigned char *c = (unsigned char *)&p;
    for (unsigned i = 0; i < sizeof p; i++)
        printf("%02x", c[i]);
    struct q q = {9, {-5, 6}, 2};
    q.i.u -= 1000000;
    q.i.v <<= 3;
    printf("\n%d %d %d %d\n", q.x, q.i.u, q.i.v, q.z);
    struct r r = {1, -2, 3};
    printf("%d %d %d\n", r.c, r.a, r.b);
    c = (unsigned char *)&r;
    for (unsigned i = 0; i < sizeof r; i++)
        printf("%02x", c[i]);
    return 0;
}
