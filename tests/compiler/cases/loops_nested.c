int printf(const char *, ...);
int main(void) {
    for (int i = 0; i < 5; i++) {
        if (i == 1)
            continue;
        for (int j = 0;; j++) {
            if (j > i)
                break;
            if (j == 1)
                continue;
            printf("%d%d ", i, j);
        }
        if (i == 3)
            break;
    }
    int n = 10;
    while (n) {
        n--;
        if (n % 2)
            continue;
        if (n == 2)
            break;
        printf("%d ", n);
    }
    do {
        n++;
        if (n == 5)
            continue;
        if (n > 8)
            break;
        printf("%d ", n);
    } while (n < 20);
    do
        printf("once ");
    while (0);
    while (0)
        printf("never");
    for (;;) {
        if (n++ > 12)
            break;
    }
    printf("%d\n", n);
    int i, j;
    for (i = 0, j = 10; i < j; i++, j--)
        ;
    printf("%d %d\n", i, j);
    for (int i = 0; i < 2; i++) {
        int i = 7;
        printf("%d", i);
        i++;
    }
    printf("\n");
    for (int a = 0, *p = &a; *p < 3; ++*p)
        printf("%d", a);
    n = 3;
    while (n-- > 0) {
        switch (n) {
        case 1:
            continue;
        }
        printf("[%d]", n);
    }
    int k = 0;
    for (; k < 3;)
        k++;
    printf("%d\n", k);
    int s = 0;
    for (unsigned char c = 250; c >= 250; c++)
        s++;
    printf("%d\n", s);
    for (int x = 0; x < 3; x++)
        do {
            if (x == 1)
                continue;
            s += x;
        } while (s < 3);
    printf("%d\n", s);
    return 0;
}
