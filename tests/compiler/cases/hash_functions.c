int printf(const char *, ...);
static unsigned fnv(const char *s) { unsigned h = 2166136261u; while (*s) h = (h ^ (unsigned char)*s++) * 16777619u; return h; }
static unsigned crc(const unsigned char *p, int n) { unsigned c = ~0u; while (n--) { c ^= *p++; for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1; } return ~c; }
static unsigned long mix(unsigned long x) { x ^= x >> 33; x *= 0xff51afd7ed558ccd; x ^= x >> 33; return x; }
static unsigned adler(const char *s) { unsigned a = 1, b = 0; for (; *s; s++) { a = (a + *s) % 65521; b = (b + a) % 65521; } return b << 16 | a; }
int main(void) { const char *t = "the quick brown fox\x80\xff"; printf("%u %x %lx %x\n", fnv(t), crc((void *)t, 21), mix(12345), adler("Wikipedia")); return 0; }
