int printf(const char *, ...);
static int größe = 3;
int π(int ω) {
    int 変数 = ω * 2, i = 0;
größer:
    変数 += größe;
    if (i++ < 2)
        goto größer;
    return 変数;
}
struct é {
    int è;
};
int main(void) {
    struct é x = {π(4)};
    printf("%d %s\n", x.è, "ünï");
    return 0;
}
