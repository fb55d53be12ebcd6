int printf(const char *, ...);
struct e {
    int k;
    const char *n;
};
static const struct e t[8] = {[0 ... 2] = {1, "low"}, [3] = {.n = "mid"}, [4 ... 7] = {.k = 9, .n = "high"}};
static char kinds[256] = {['0' ... '9'] = 1, ['a' ... 'z'] = 2, ['A' ... 'Z'] = 2, ['_'] = 3};
int main(void) {
    for (int i = 0; i < 8; i++)
        printf("%d %s\n", t[i].k, t[i].n);
    for (const char *p = "a9_Z -"; *p; p++)
        printf("%d", kinds[(unsigned char)*p]);
    int n = 3, a[10] = {[2 ... 5] = n++, [8 ... 9] = 1};
    for (int i = 0; i < 10; i++)
        printf(" %d", a[i]);
    printf("\n%d\n", n);
    return 0;
}
