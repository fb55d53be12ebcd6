int printf(const char *, ...);
int main(void) {
    int n = 0;
    for (int i = 0; i < 10; i++) {
        switch (i % 4) { case 0: continue; case 1: break; case 2: n += 100; default: n++; }
        do { if (i == 5) continue; if (i == 7) break; n += 10; } while (0);
        while (1) { if (n++ % 3) continue; break; }
    }
    printf("%d\n", n);
    for (;;) { for (;;) break; if (n++ > 250) break; }
    printf("%d\n", n);
    return 0;
}
