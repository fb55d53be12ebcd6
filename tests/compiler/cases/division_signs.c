int printf(const char *, ...);
int main(void) {
    int v[] = {7, -7, 2, -2, 1, 13, -13};
    for (int i = 0; i < 7; i++)
        for (int j = 0; j < 7; j++)
            printf("%d %d,", v[i] / v[j], v[i] % v[j]);
    long a = -1000000000000L;
    printf("\n%ld %ld\n", a / 7, a % 7);
    printf("%ld %ld\n", a / 8, a % 8);
    printf("%lu\n", (unsigned long)a / 8);
    printf("%d %d %u\n", -17 / 5, -17 % 5, 17u / 5);
    int x = 100;
    x /= -3;
    printf("%d\n", x);
    x %= 4;
    printf("%d\n", x);
    char c = -100;
    c /= 7;
    printf("%d\n", c);
    unsigned char u = 200;
    u %= 7;
    printf("%d\n", u);
    return 0;
}
