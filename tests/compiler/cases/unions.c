int printf(const char *, ...);
union u {
    int i;
    unsigned char b[8];
    float f;
    long l;
    struct {
        short lo, hi;
    } s;
};
static union u make(int x) {
    union u r = {.i = x};
    return r;
}
int main(void) {
    union u u = {0x01020304};
    printf("%d %d %zu\n", u.b[0], u.s.hi, sizeof u);
    u.f = 1.0f;
    printf("%x\n", u.i);
    u.l = -1;
    printf("%d %d\n", u.s.lo, u.b[7]);
    u = make(77);
    printf("%d\n", u.i);
    union u v = u;
    v.b[0] = 1;
    printf("%d %d\n", u.i, v.i);
    union {
        char c;
        int x;
    } w = {.x = 300};
    printf("%d\n", w.c);
    static union u st = {.s = {1, 2}};
    printf("%x\n", st.i);
    static union u fl = {.f = 2.5f};
    printf("%x\n", fl.i);
    union u arr[2] = {{5}, {.b = {1, 1}}};
    printf("%d %d\n", arr[0].i, arr[1].i);
    printf("%d\n", ((union u){.l = 9}).i);
    return 0;
}
