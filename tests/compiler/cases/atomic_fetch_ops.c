int printf(const char *, ...);
int main(void) {
    unsigned u = 0xf0; short s = 10; unsigned char c = 250; long l = 1;
    printf("%u ", __atomic_fetch_or(&u, 0xf, __ATOMIC_RELAXED)); printf("%u\n", u);
    printf("%u ", __atomic_and_fetch(&u, 0x3c, __ATOMIC_ACQ_REL)); printf("%u\n", u);
    printf("%u ", __sync_fetch_and_xor(&u, 0xff)); printf("%u\n", u);
    printf("%d ", __sync_sub_and_fetch(&s, 20)); printf("%d\n", s);
    printf("%d ", __atomic_add_fetch(&c, 10, __ATOMIC_SEQ_CST)); printf("%d\n", c);
    printf("%ld ", __atomic_exchange_n(&l, -7, __ATOMIC_SEQ_CST)); printf("%ld\n", __atomic_load_n(&l, __ATOMIC_ACQUIRE));
    __atomic_store_n(&l, 3, __ATOMIC_RELEASE); printf("%ld\n", l);
    return 0;
}
