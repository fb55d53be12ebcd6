int printf(const char *, ...);
int main(void) {
    int a[3] = {1, 2, 3}; const int *c = a; void *v = a; int z = 0;
    printf("%d %d\n", *(z ? a : c), *(int *)(z ? 0 : v));
    printf("%d %d\n", (z ? (void *)0 : a) == a, *(1 ? a + 1 : 0));
    printf("%zu %zu\n", sizeof(z ? 'a' : 1L), sizeof(z ? (char)1 : (short)1));
    printf("%d\n", (z ? -1 : 1u) > 0); printf("%d\n", (z ? 1u : -1) > 0);
    printf("%s\n", z ? "some" : "no");
    (z ? (void)z : (void)a[0]);
    return 0;
}
