#include <setjmp.h>
#include <stdio.h>
static jmp_buf env;
static void deep(int n) {
    if (!n)
        longjmp(env, 7);
    deep(n - 1);
}
int main(void) {
    volatile int tries = 0;
    int r = setjmp(env);
    tries++;
    printf("%d %d\n", r, tries);
    if (r == 0)
        deep(5);
    if (tries < 3)
        longjmp(env, r + 1);
    printf("done %d\n", r);
    return 0;
}
