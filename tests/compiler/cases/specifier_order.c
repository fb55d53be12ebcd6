// declaration specifiers in any order, twice where that is allowed, array parameters whose sizes name other parameters
#include <stdio.h>
int long unsigned long a = -1;
char unsigned static b = 200;
long const int volatile extern c;
long const int volatile c = -3;
signed char signed d = -4;
short short e = 5;
unsigned unsigned f = 6;
double long g = 1.5;
const const int h = 8;
typedef struct pair { int x, y; } const typedef_pair;
struct pair static k = {1, 2};
int typedef small;
enum color { RED, GREEN } static const paint = GREEN;
int inline static twice(int x) { return 2 * x; }
void static noted(void) { printf("noted\n"); }
int sum(int n, int m, int v[n], int (*w)[3], int t[n + m][3]) {
    int s = 0;
    for (int i = 0; i < n; i++) s += v[i] + w[i][1] + t[i][2];
    return s;
}
int first(int n, const int v[static n > 2 ? 1 : 2]) { return v[0] + n; }
int main(void) {
    small q = 3;
    typedef_pair p = {4, 5};
    int v[2] = {1, 2}, w[2][3] = {{3, 4, 5}, {6, 7, 8}};
    printf("%llu %d %ld %d %d %u %zu %d %d %d %d %d %d\n", a, b, c, d, e, f, sizeof g, h, p.x + p.y, k.y, paint, twice(q),
           (int)sizeof(a));
    printf("%d %d\n", sum(2, 5, v, w, w), first(9, v));
    noted();
    return 0;
}
