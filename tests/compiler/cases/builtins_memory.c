int printf(const char *, ...);
struct s {
    int a, b;
    char c[10];
};
int main(void) {
    char b[20];
    __builtin_memset(b, 'x', sizeof b);
    b[19] = 0;
    printf("%s\n", b);
    __builtin_memcpy(b, "hello", 5);
    printf("%s\n", b);
    __builtin_memmove(b + 2, b, 5);
    printf("%s\n", b);
    printf("%d %d %d\n", __builtin_memcmp("abc", "abd", 3) < 0, __builtin_memcmp("abc", "abd", 2),
           __builtin_memcmp("b", "a", 1) > 0);
    struct s x = {1, 2, "hey"}, y;
    __builtin_memcpy(&y, &x, sizeof x);
    printf("%d %s\n", y.b, y.c);
    volatile int n = 3;
    printf("%d\n", __builtin_memcmp("abX", "abY", n) < 0);
    printf("%zu %d %s\n", __builtin_strlen("four"), __builtin_strcmp("a", "a"), __builtin_strchr("hello", 'l'));
    char *p = __builtin_memcpy(b, "q", 1);
    printf("%c\n", *p);
    printf("%d\n", __builtin_memcmp("\xff", "\1", 1) > 0);
    return 0;
}
