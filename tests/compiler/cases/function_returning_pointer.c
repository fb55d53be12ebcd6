int printf(const char *, ...);
static int store[4];
static int *at(int i) { return &store[i]; }
static int (*row(int i))[2] { static int m[2][2] = {{1, 2}, {3, 4}}; return &m[i]; }
static int twice(int x) { return 2 * x; } static int square(int x) { return x * x; }
static int (*pick(int k))(int) { return k ? square : twice; }
static int (*(*maker(void))(int))(int) { return pick; }
int main(void) {
    *at(2) = 5; ++*at(2); at(0)[3] = 9; printf("%d %d\n", store[2], store[3]);
    (*row(1))[0] += 6; printf("%d %d\n", (*row(1))[0], row(0)[0][1]);
    printf("%d %d %d\n", pick(0)(7), pick(1)(7), maker()(1)(3));
    return 0;
}
