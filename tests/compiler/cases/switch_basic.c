int printf(const char *, ...);
static int f(int x) {
    switch (x) {
    case 0:
        return 10;
    case 1:
    case 2:
        return 20;
    case -5:
        return 30;
    default:
        return 99;
    }
}
static int g(unsigned char c) {
    int r = 0;
    switch (c) {
    case 'a':
        r++;
    case 'b':
        r++;
    case 'c':
        r++;
        break;
    case 255:
        r = 100;
        break;
    }
    return r;
}
static const char *h(long v) {
    switch (v) {
    default:
        return "def";
    case 0x100000000L:
        return "big";
    case -1L:
        return "neg";
    }
}
int main(void) {
    for (int i = -6; i < 4; i++)
        printf("%d ", f(i));
    printf("\n%d %d %d %d %d\n", g('a'), g('b'), g('c'), g('d'), g(255));
    printf("%s %s %s\n", h(0), h(4294967296L), h(-1));
    switch (3) {}
    switch (1)
    case 1:
        printf("one\n");
    switch (2) {
        int x;
    case 2:
        x = 7;
        printf("%d\n", x);
    }
    switch (1) {
    case 0:
        printf("no\n");
    default:
        printf("d ");
    case 5:
        printf("5\n");
    }
    int i = 3;
    switch (i++) {
    case 3:
        printf("%d\n", i);
    }
    switch (1u) {
    case 1:
        printf("u\n");
    }
    switch ((char)200) {
    case -56:
        printf("wrapped\n");
        break;
    case 200:
        printf("no\n");
    }
    switch ((unsigned char)200) {
    case 200:
        printf("uc\n");
    }
    for (i = 0; i < 5; i++) {
        switch (i) {
        case 1:
            continue;
        case 3:
            break;
        default:
            printf("%d", i);
        }
        printf(".");
    }
    printf("\n");
    return 0;
}
