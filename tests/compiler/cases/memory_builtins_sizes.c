int printf(const char *, ...);
struct s { char b[37]; };
int main(void) {
    char a[64], b[64]; for (int i = 0; i < 64; i++) a[i] = i * 7, b[i] = 0;
    __builtin_memcpy(b, a, 13); __builtin_memcpy(b + 20, a + 3, 1); __builtin_memset(b + 30, 0x5a, 9); __builtin_memmove(a + 2, a, 40);
    unsigned h = 0; for (int i = 0; i < 64; i++) h = h * 31 + a[i] + b[i] * 3; printf("%u\n", h);
    struct s x = {"abc"}, y = x; y.b[36] = 1; int r = __builtin_memcmp(&x, &y, sizeof x); printf("%d %d\n", r < 0, __builtin_memcmp(&x, &y, 36));
    for (unsigned long n = 0; n < 5; n++) printf("%d ", __builtin_memcmp("abcd", "abdc", n) < 0);
    return 0;
}
