// goto, break, continue, return and case out of blocks whose variables have a cleanup
#include <stdio.h>
static void out(int *x) { printf(" ~%d", *x); }
#define CLEAN __attribute__((cleanup(out)))
static int jumps(int n) {
    int rounds = 0;
again:;
    {
        CLEAN int a = n * 10;
    inner_top:;
        CLEAN int a2 = n * 10 + 1;
        if (n == 1) goto end;
        {
            CLEAN int b = n * 10 + 2;
            if (n == 2) goto inner;
            if (n == 3 && rounds++ < 2) goto again;
            if (n == 4 && rounds++ < 1) goto inner_top;
            if (n == 5) return ({ CLEAN int r = 9; rounds + r; });
            printf(" body");
        }
    inner:
        printf(" inner");
    }
end:
    for (CLEAN int i = 0; i < 3; i++) {
        CLEAN int c = 100 + i;
        if (i == 1) continue;
        if (i == n) goto over;
        if (i == 2) break;
    }
over:
    switch (n) {
    case 1: { CLEAN int d = 5; break; }
    case 2: { CLEAN int d = 6; }
    default: printf(" default");
    }
    return rounds;
}
int main(void) {
    for (int n = 0; n < 7; n++) printf(" = %d\n", jumps(n));
    return 0;
}
