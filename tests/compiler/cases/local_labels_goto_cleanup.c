int printf(const char *, ...);
void *malloc(unsigned long);
void free(void *);
#define FIND(v, n, k)                                                                                                            \
    ({                                                                                                                           \
        __label__ found;                                                                                                         \
        int _i;                                                                                                                  \
        for (_i = 0; _i < (n); _i++)                                                                                             \
            if ((v)[_i] == (k))                                                                                                  \
                goto found;                                                                                                      \
        _i = -1;                                                                                                                 \
    found:                                                                                                                       \
        _i;                                                                                                                      \
    })
static int work(int fail) {
    int err = -1;
    char *a = malloc(4), *b = 0;
    if (fail == 1)
        goto free_a;
    b = malloc(4);
    if (fail == 2)
        goto free_b;
    a[0] = 'k';
    printf("%c ", a[0]);
    err = 0;
free_b:
    printf("b ");
    free(b);
free_a:
    printf("a ");
    free(a);
    return err;
}
int main(void) {
    int v[] = {4, 5, 6};
    printf("%d\n", FIND(v, 3, 6));
    printf("%d\n", FIND(v, 3, 9));
    for (int i = 0; i < 3; i++)
        printf("%d\n", work(i));
    int n = 0, k = 0;
retry:
    if (++n < 3) {
        for (k = 0; k < 10; k++) {
            if (k == n * 2)
                goto retry;
        }
    }
    printf("%d %d\n", n, k);
    {
        int x = 0;
    loop : {
        int y = x * 2;
        if (y < 6) {
            x++;
            goto loop;
        }
        printf("%d\n", y);
    }
    }
    return 0;
}
