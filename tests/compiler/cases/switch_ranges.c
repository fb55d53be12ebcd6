int printf(const char *, ...);
static int k(int c) {
    switch (c) {
    case '0' ... '9':
        return 1;
    case 'a' ... 'f':
    case 'A' ... 'F':
        return 2;
    case -100 ... - 1:
        return 3;
    case 1000 ... 2000000:
        return 4;
    default:
        return 0;
    }
}
static int u(unsigned long v) {
    switch (v) {
    case 0 ... 9:
        return 1;
    case 0x8000000000000000UL ... 0xffffffffffffffffUL:
        return 2;
    case 5000000000UL ... 6000000000UL:
        return 3;
    }
    return 0;
}
int main(void) {
    int v[] = {'0', '9', '9' + 1, 'a', 'F', 'g', -100, -101, -1, 0, 1000, 999, 2000000, 2000001};
    for (unsigned i = 0; i < sizeof v / sizeof *v; i++)
        printf("%d ", k(v[i]));
    printf("%d %d %d %d %d\n", u(9), u(10), u(-1), u(1UL << 63), u(5500000000UL));
    switch (5) {
    case 1 ... 10:
        printf("in\n");
    }
    return 0;
}
