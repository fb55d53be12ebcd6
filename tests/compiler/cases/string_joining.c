// a literal without a prefix takes the one of its neighbours; folded commas; alloca; __atomic_compare_exchange
#include <stdio.h>
#include <string.h>
#include <wchar.h>
static double folded = 0.0 ? 55 : (0, 1 + 1 * 5.0 / 2);
static void fill(int n) {
    char *all[4];
    for (int i = 0; i < 4; i++) memset(all[i] = __builtin_alloca(n + i), 'a' + i, n + i);
    for (int i = 0; i < 4; i++) printf("%.*s|", n + i, all[i]);
    printf(" %d\n", (int)((unsigned long)all[0] % 16));
}
int main(void) {
    wchar_t a[] = "é" L"ü", b[] = L"é" "ü" "\x41";
    unsigned short c[] = "é" u"𝄞";
    unsigned d[] = "é" U"𝄞";
    char e[] = "é" u8"ü";
    printf("%zu %x %x %zu %x %x\n", sizeof a, a[0], a[1], sizeof b, b[1], b[2]);
    printf("%zu %x %x %x %zu %x %x %zu\n", sizeof c, c[0], c[1], c[2], sizeof d, d[0], d[1], sizeof e);
    printf("%g %zu\n", folded, sizeof(char[(1, 3)]));
    fill(3);
    int x = 5, expected = 4, wanted = 9, ok = __atomic_compare_exchange(&x, &expected, &wanted, 0, 5, 5);
    printf("%d %d %d", x, expected, ok);
    ok = __atomic_compare_exchange(&x, &expected, &wanted, 0, 5, 5);
    printf(" %d %d %d\n", x, expected, ok);
    return 0;
}
