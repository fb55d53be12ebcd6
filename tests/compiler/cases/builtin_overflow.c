int printf(const char *, ...);
int main(void) {
    int r; unsigned u; long l; unsigned char c; 
    printf("%d ", __builtin_add_overflow(2147483647, 1, &r)); printf("%d\n", r);
    printf("%d ", __builtin_sub_overflow(3u, 4u, &u)); printf("%u\n", u);
    printf("%d ", __builtin_mul_overflow(1L << 40, 1L << 30, &l)); printf("%ld\n", l);
    printf("%d ", __builtin_add_overflow(200, 100, &c)); printf("%d\n", c);
    printf("%d ", __builtin_mul_overflow(-3, 5, &r)); printf("%d\n", r);
    printf("%d ", __builtin_sub_overflow(1, 2, &u)); printf("%u\n", u);
    return 0;
}
