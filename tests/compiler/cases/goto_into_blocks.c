int printf(const char *, ...);
int main(void) {
    int n = 0, i = 0; goto in;
    for (; i < 3; i++) { n += 10; in: n++; if (n > 40) goto out; i = n / 15; }
out:
    if (0) { inside: n += 1000; } else if (n < 500) goto inside;
    printf("%d\n", n);
    { __label__ again; int k = 0; again: if (k++ < 3) goto again; printf("%d\n", k); }
    return 0;
}
