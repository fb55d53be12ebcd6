int printf(const char *, ...);
int main(void) {
    char c = '\xff';
    signed char s = 0xff;
    unsigned char u = 0xff;
    printf("%d %d %d\n", c, s, u);
    printf("%d %d %d\n", c == s, c == u, (unsigned char)c == u);
    printf("%d\n", "\xff"[0] == '\xff');
    int hist[256] = {0};
    for (const char *p = "hello\xe9"; *p; p++)
        hist[(unsigned char)*p]++;
    printf("%d %d\n", hist['l'], hist[0xe9]);
    c = 127;
    c += 1;
    printf("%d\n", c);
    u = c;
    printf("%d\n", u);
    c = u >> 1;
    printf("%d\n", c);
    s = 'a' - 'b';
    printf("%d\n", s);
    printf("%d\n", c > 'A' && c <= 'z');
    char d = -1;
    unsigned x = d;
    unsigned long y = d;
    printf("%u %lu\n", x, y);
    printf("%d\n", (char)128 / 2);
    printf("%d %d\n", 'z' - 'a', '9' - '0');
    return 0;
}
