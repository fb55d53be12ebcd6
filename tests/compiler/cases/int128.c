int printf(const char *, ...);
typedef __int128 i128;
typedef unsigned __int128 u128;
static void show(u128 v) { printf("%016lx%016lx\n", (unsigned long)(v >> 64), (unsigned long)v); }
static u128 fact(int n) {
    u128 r = 1;
    while (n > 1)
        r *= n--;
    return r;
}
struct s {
    char c;
    i128 v;
    u128 b : 70;
} gs = {1, -5, 3};
static i128 ga[2] = {1, (i128)1 << 100};
int main(void) {
    show(fact(30));
    i128 a = -1;
    show(a);
    show(a >> 3);
    show((u128)a >> 3);
    u128 m = ((u128)0x123456789abcdefUL << 64) | 0xfedcba9876543210UL;
    show(m);
    show(m * 3 + 1);
    show(m / 1000);
    show(m % 1000003);
    show(~m);
    show(-m);
    show(m << 5);
    show(m >> 70);
    printf("%d %d %d %d\n", a<0, (u128)a> m, m == m + 0, (i128)m < a);
    show((i128)-1000000000000 * 1000000000000);
    show((i128)-12345678901234567 / 1000);
    i128 x = 5;
    x++;
    x -= 10;
    show(x);
    x <<= 65;
    show(x);
    x ^= 0xff;
    show(x);
    int i = x;
    long l = (m >> 4);
    printf("%d %lx %zu %zu\n", i, l, sizeof x, sizeof(struct s));
    show(gs.v);
    show(gs.b);
    show(ga[1]);
    printf("%d\n", x ? 1 : 2);
    show((i128)(char)-1);
    show((u128)4294967295u * 4294967295u * 4294967295u);
    x = m ? -3 : 3;
    show(x);
    switch ((int)(x + 4)) {
    case 1:
        printf("one\n");
    }
    show(!x);
    i128 arr[2] = {7, -7};
    show(arr[0] * arr[1]);
    return 0;
}
