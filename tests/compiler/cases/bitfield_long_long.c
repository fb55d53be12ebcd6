int printf(const char *, ...);
struct w { unsigned long long a : 40, b : 20, c : 4; long long d : 63; };
int main(void) {
    struct w w = {0xfffffffffe, 0xabcde, 5, -1};
    w.a += 3; w.b <<= 4; w.c = ~w.c; w.d /= 2; w.d -= 7;
    printf("%llx %llx %llx %lld %zu\n", (unsigned long long)w.a, (unsigned long long)w.b, (unsigned long long)w.c, (long long)w.d, sizeof w);
    return 0;
}
