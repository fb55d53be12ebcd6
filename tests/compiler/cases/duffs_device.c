int printf(const char *, ...);
static void copy(char *to, const char *from, int count) {
    int n = (count + 7) / 8;
    switch (count % 8) {
    case 0:
        do {
            *to++ = *from++;
        case 7:
            *to++ = *from++;
        case 6:
            *to++ = *from++;
        case 5:
            *to++ = *from++;
        case 4:
            *to++ = *from++;
        case 3:
            *to++ = *from++;
        case 2:
            *to++ = *from++;
        case 1:
            *to++ = *from++;
        } while (--n > 0);
    }
}
int main(void) {
    char b[40] = {0};
    copy(b, "the quick brown fox jumps", 25);
    printf("%s\n", b);
    int i = 0, s = 0;
    switch (2) {
    case 1:
        while (i < 5) {
            s += 10;
        case 2:
            s++;
            i++;
        }
    }
    printf("%d %d\n", i, s);
    switch (1) {
        if (0) {
        case 1:
            printf("in if\n");
        } else {
        case 2:
            printf("in else\n");
        }
    }
    switch (7) {
        for (;;) {
        case 7:
            printf("x");
            if (++i > 7)
                break;
        }
    }
    printf("%d\n", i);
    return 0;
}
