int printf(const char *, ...);
static unsigned char bits[1000 / 8 + 1];
int main(void) { int n = 0, last = 0; for (int i = 2; i < 1000; i++) { if (bits[i / 8] >> i % 8 & 1) continue; n++; last = i; for (int j = i * i; j < 1000; j += i) bits[j / 8] |= 1 << j % 8; } printf("%d %d\n", n, last); return 0; }
