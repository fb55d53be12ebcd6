int printf(const char *, ...);
static int f(int x) {
    return x;
    printf("dead\n");
    x++;
    return 0;
}
static int g(int x) {
    for (;;) {
        if (x++ > 5)
            return x;
        continue;
        printf("dead");
    }
    printf("dead");
}
static void h(void) {
    return;
    {
        int y = 1;
        (void)y;
    }
}
static int k(int x) {
    while (1) {
        switch (x) {
        case 1:
            return 10;
        default:
            goto out;
            printf("dead");
        }
        break;
    }
out:
    return 20;
    printf("x");
}
static int m(int x) {
    if (x)
        return 1;
    else
        return 2;
}
static int n(int x) {
    do {
        return x;
    } while (x);
}
int main(void) {
    printf("%d %d %d %d %d %d %d\n", f(1), g(0), k(1), k(2), m(0), m(1), n(4));
    h();
    if (0) {
        printf("dead");
    lab:
        printf("label\n");
        return 0;
    }
    while (0)
        printf("dead");
    for (int i = 0; 0; i++)
        printf("dead");
    if (1)
        ;
    else
        printf("dead");
    switch (3) {
        printf("dead");
        int z;
    case 3:
        z = 4;
        printf("%d\n", z);
        break;
        printf("dead");
    }
    0 ? printf("dead") : 0;
    1 || printf("dead");
    goto lab;
}
