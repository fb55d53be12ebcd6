int printf(const char *, ...);
int main(void) {
    long v = 5, want = 4; int w = 1; 
    int ok = __atomic_compare_exchange_n(&v, &want, 9, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    printf("%d %ld %ld\n", ok, v, want);
    ok = __atomic_compare_exchange_n(&v, &want, 9, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    printf("%d %ld %ld\n", ok, v, want);
    printf("%d ", __sync_bool_compare_and_swap(&w, 1, 2)); printf("%d\n", __sync_val_compare_and_swap(&w, 1, 3));
    printf("%d %d\n", __sync_lock_test_and_set(&w, 8), 0); printf("%d\n", w);
    __sync_lock_release(&w); printf("%d\n", w);
    return 0;
}
