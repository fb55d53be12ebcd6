int printf(const char *, ...);
int x = 1;
struct s {
    int a;
};
static int f(int x) {
    {
        int x = 3;
        {
            extern int x;
            printf("%d ", x);
        }
        printf("%d ", x);
    }
    return x;
}
int main(void) {
    printf("%d\n", f(2));
    int x = 5;
    if (x) {
        int x = 6;
        printf("%d ", x);
        x++;
        {
            int x = x = 8;
            printf("%d ", x);
        }
    }
    printf("%d\n", x);
    for (int x = 0; x < 1; x++) {
        int x = 9;
        printf("%d ", x);
    }
    struct s {
        long b, c;
    } v = {1, 2};
    printf("%ld %zu\n", v.c, sizeof(struct s));
    {
        struct s;
        struct s {
            char z;
        } w = {'q'};
        printf("%zu %c\n", sizeof(struct s), w.z);
    }
    {
        enum s2 { A = 3 };
        int A2 = A;
        {
            int A = 4;
            printf("%d %d\n", A, A2);
        }
    }
    int printf2 = 1;
    {
        int main = 2;
        printf("%d\n", main + printf2);
    }
    int a = 1, b = a + 1, c = b * 2;
    printf("%d\n", c);
    switch (c) {
        int k;
    case 4:
        k = 3;
        printf("%d\n", k);
    }
    return x;
}
