int printf(const char *, ...);
int main(void) {
    int i = 0, n = 0;
    do i++; while (i < 5);
    do { if (i & 1) goto odd; n += 2; continue; odd: n++; } while (i-- > 0);
    printf("%d %d\n", i, n);
    do ; while (n-- > 3);
    do do i += 2; while (i < 4); while (i < 9 && i++);
    printf("%d %d\n", i, n);
    return 0;
}
