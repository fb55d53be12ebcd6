// null pointer constants in ?:, qualifiers of its result, arrays of a const typedef, scopes of conditions, atomic flags
#include <stdio.h>
#define KIND(e) _Generic(e, int *: 1, const int *: 2, volatile int *: 3, const volatile int *: 4, void *: 5, const void *: 6, char *: 7)
typedef int three[3];
extern const three table;
extern const int table[3];
const three table = {1, 2, 3};
enum { in = 0 };
struct flag { _Bool on; };
int main(void) {
    int c = 1, *p = &c;
    printf("%d %d %d %d %d %d\n", KIND(c ? (int *)0 : (void *)0), KIND(c ? (volatile int *)0 : (const int *)0),
           KIND(c ? p : (const void *)0), KIND(c ? (void *)0 : p), KIND(c ? 0 : p), KIND(c ? (void *)p : (int *)0));
    printf("%d %d\n", KIND(c ? (int const *)p : p), table[2]);
    if (sizeof(enum { in = 1 })) printf("%d", in);
    printf("%d", in);
    switch (sizeof(enum { in = 2 })) { default: printf("%d", in); }
    printf("%d", in);
    while (sizeof(enum { in = 3 })) { printf("%d", in); break; }
    printf("%d\n", in);
    struct flag f = {0};
    int before = __atomic_test_and_set(&f, 5), after = __atomic_test_and_set(&f, 5);
    __atomic_clear(&f, 5);
    printf("%d %d %d\n", before, after, f.on);
    int a[6] = {1, 2, 3, 4, 5, 6, [1 ... 3] = 9, [2] = 7};
    struct { int x, y; } b[4] = {{1, 2}, {3, 4}, {5, 6}, {7, 8}, [1 ... 2] = {.y = 9}, [2] = {.x = 1}};
    for (int i = 0; i < 6; i++) printf("%d ", a[i]);
    for (int i = 0; i < 4; i++) printf("%d %d ", b[i].x, b[i].y);
    printf("\n");
    return 0;
}
