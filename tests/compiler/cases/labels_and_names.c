int printf(const char *, ...);
typedef int T;
struct x {
    int x;
} x = {1};
int main(void) {
    int y = 0;
x:
    y++;
    struct x z = {y};
T:
    if (y < 3)
        goto x;
    printf("%d %d %d\n", y, z.x, x.x);
    {
        T T = 5;
        printf("%d\n", T);
    }
    if (y++ < 4)
        goto T;
    {
        int main = 3;
        printf("%d\n", main);
    }
l1:
l2:
l3:
    printf("%d\n", y++);
    if (y < 7)
        goto l2;
    if (y < 8)
        goto l1;
    if (y < 9)
        goto l3;
    return 0;
}
