#include <stdlib.h>
#include <stdio.h>
#include <inttypes.h>
static int cmp(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
int main(void) {
    div_t d = div(17, 5);
    ldiv_t l = ldiv(-1000000000000L, 7);
    lldiv_t q = lldiv(99, 10);
    printf("%d %d %ld %ld %lld %lld\n", d.quot, d.rem, l.quot, l.rem, q.quot, q.rem);
    printf("%d\n", div(100, 7).rem);
    imaxdiv_t m = imaxdiv(50, 8);
    printf("%ld %ld\n", (long)m.quot, (long)m.rem);
    int a[] = {5, 2, 9, 1};
    qsort(a, 4, sizeof *a, cmp);
    printf("%d %d %d %d\n", a[0], a[1], a[2], a[3]);
    int k = 5, *p = bsearch(&k, a, 4, sizeof *a, cmp);
    printf("%ld\n", (long)(p - a));
    printf("%ld %f %lu\n", strtol("-42x", 0, 10), strtod("2.5", 0), strtoul("ff", 0, 16));
    printf("%d %ld\n", abs(-3), labs(-4));
    printf("%" PRId64 " %" PRIx32 "\n", INT64_C(5), (uint32_t)255);
    return EXIT_SUCCESS;
}
