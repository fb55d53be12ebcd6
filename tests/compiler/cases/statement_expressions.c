int printf(const char *, ...);
struct p {
    int a, b;
};
static int f(int n) {
    return ({
        if (n > 5)
            return 99;
        n * 2;
    });
}
int main(void) {
    int x = ({
        int y = 3;
        y *y;
    });
    printf("%d\n", x);
    printf("%d %d\n", f(3), f(6));
    x = ({ ({ 1; }) + ({ 2; }); });
    printf("%d\n", x);
    struct p p = ({
        struct p t = {1, 2};
        t.a++;
        t;
    });
    printf("%d %d\n", p.a, p.b);
    printf("%d\n", ({
                       struct p t = {4, 5};
                       t;
                   }).b);
    ({ x++; });
    (void)({
        x++;
        5;
    });
    printf("%d\n", x);
    int s = 0;
    for (int i = 0; i < ({ 4; }); i++)
        s += ({
            if (i == 2)
                continue;
            i;
        });
    printf("%d\n", s);
    printf("%d\n", ({
               int a[3] = {1, 2, 3};
               a[1];
           }));
    if (({
            int t = x;
            t > 3;
        }))
        printf("yes\n");
    char *str = ({ "abc"; });
    printf("%s\n", str);
    while (({
        x--;
        x > 0;
    }))
        ;
    printf("%d\n", x);
    int *ip = &({
        int *q = &s;
        q;
    })[0];
    printf("%d\n", *ip);
    ({ ; });
    ({});
    x = ({
        goto in;
        0;
    in:
        7;
    });
    printf("%d\n", x);
    int r = ({
                switch (x) {
                case 7:
                    x = 70;
                }
                x;
            }) +
            1;
    printf("%d\n", r);
    return ({ 3; });
}
