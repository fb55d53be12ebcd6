int printf(const char *, ...);
int main(void) {
    int a[5], *p = a, *e = a + 5; long n = 0; while (p != e) *p++ = n++;
    printf("%d%d%d%d\n", a < e, e <= a, &a[2] >= a + 2, p == &a[5]); printf("%d %d %d\n", !p, p && *a == 0, p - a > 4);
    char *c = (char *)a; unsigned long u = (unsigned long)&a[1] - (unsigned long)a; printf("%lu %d\n", u, (int *)(c + 8) == &a[2]);
    void *v = 0; printf("%d %d %d\n", v == 0, !v, v ? 1 : 2); p = &2[a]; printf("%d %d\n", -1[p], p[-2]);
    return 0;
}
