// a part that is initialised a second time forgets all of its first values; arrays of 16 bytes are aligned to 16
#include <stdio.h>
struct inner { int a, b; char s[6]; };
struct outer { struct inner in[2]; int z; };
static int global[2][3] = {1, 2, 3, 4, 5, 6, [0] = {7, 8}, 9, 10};
static struct outer o = {.in = {[0] = {1, 2, "abcde"}, [1] = {3, 4, "fghij"}}, .in[0] = {.b = 5}, .in[1].s = "x"};
static char aligned[17];
int main(void) {
    int local[2][3] = {1, 2, 3, 4, 5, 6, [0] = {7, 8}, 9, 10};
    struct outer p = {.z = 9, .in = {[0] = {1, 2, "abcde"}, [1] = {3, 4, "fghij"}}, .in[1] = {.s = "y"}, .in[0].s = {"z"}};
    char buffer[16], odd;
    for (int i = 0; i < 6; i++) printf("%d %d ", global[0][i], local[0][i]);
    for (int i = 0; i < 2; i++) {
        printf("\n%d %d", o.in[i].a, o.in[i].b);
        for (int k = 0; k < 6; k++) printf(" %d", o.in[i].s[k]);
        printf(" / %d %d", p.in[i].a, p.in[i].b);
        for (int k = 0; k < 6; k++) printf(" %d", p.in[i].s[k]);
    }
    odd = 1;
    printf("\n%d %d %d %d\n", o.z, p.z, (int)((unsigned long)buffer % 16), (int)((unsigned long)aligned % 16) + (odd != 1));
    return 0;
}
