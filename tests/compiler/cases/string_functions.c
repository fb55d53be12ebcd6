int printf(const char *, ...);
static unsigned long len(const char *s) {
    const char *p = s;
    while (*p)
        p++;
    return p - s;
}
static char *copy(char *d, const char *s) {
    char *r = d;
    while ((*d++ = *s++))
        ;
    return r;
}
static int cmp(const char *a, const char *b) {
    for (; *a && *a == *b; a++, b++)
        ;
    return *(unsigned char *)a - *(unsigned char *)b;
}
static char *rev(char *s) {
    for (char *a = s, *b = s + len(s) - 1; a < b;) {
        char t = *a;
        *a++ = *b;
        *b-- = t;
    }
    return s;
}
static int atoi_(const char *s) {
    int n = 0, g = 1;
    if (*s == '-')
        g = -1, s++;
    for (; *s >= '0' && *s <= '9'; ++s)
        n = 10 * n + *s - '0';
    return g * n;
}
static const char *find(const char *h, const char *n) {
    for (; *h; h++) {
        const char *a = h, *b = n;
        while (*b && *a == *b)
            a++, b++;
        if (!*b)
            return h;
    }
    return 0;
}
static char *itoa_(int v, char *b, int base) {
    char *p = b;
    unsigned u = v < 0 ? -v : v;
    do
        *p++ = "0123456789abcdef"[u % base];
    while (u /= base);
    if (v < 0)
        *p++ = '-';
    *p = 0;
    return rev(b);
}
int main(void) {
    char b[40];
    printf("%lu %s %d %d\n", len("hello"), copy(b, "world"), cmp("abc", "abd") < 0, cmp("b", "a") > 0);
    printf("%s %d %d\n", rev(b), atoi_("-123x"), atoi_("0042"));
    printf("%s %d\n", find("needle in hay", "in"), find("x", "y") == 0);
    printf("%s\n", itoa_(-255, b, 16));
    printf("%s\n", itoa_(1234567, b, 10));
    return 0;
}
