int printf(const char *, ...);
struct a { unsigned x : 3; unsigned : 0; unsigned y : 4; };
struct b { char c; int : 5; short s : 9; long l : 33; };
struct c { unsigned char a : 4, : 2, b : 2; };
int main(void) {
    struct a a = {7, 9}; struct b b = {1, -2, -3}; struct c c = {15, 3};
    printf("%zu %zu %zu\n", sizeof a, sizeof b, sizeof c);
    printf("%u %u %d %d %ld %d %d\n", a.x, a.y, b.c, b.s, (long)b.l, c.a, c.b);
    unsigned char *p = (void *)&c; printf("%d\n", *p & 0xcf);
    c.a++; c.b -= 4; printf("%d %d\n", c.a, c.b);
    return 0;
}
