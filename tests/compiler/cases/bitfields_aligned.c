// bit-fields with an alignment of their own, in plain and packed records and unions
#include <stdio.h>
#include <string.h>
struct a { unsigned a : 5, b : 5; int c : 7 __attribute__((aligned(8))); char d; int e : 3 __attribute__((aligned(16))); };
struct b { char a; short b : 3 __attribute__((aligned(4))); short c : 9; long d : 40 __attribute__((aligned(2))); } __attribute__((packed));
union c { int a : 9 __attribute__((aligned(8))); char b; };
#pragma pack(2)
struct d { char a; int b : 11 __attribute__((aligned(8))); int c : 30; };
#pragma pack()
static void show(const char *name, const void *p, unsigned size) {
    const unsigned char *bytes = p;
    printf("%s %u:", name, size);
    for (unsigned i = 0; i < size; i++) printf(" %02x", bytes[i]);
    printf("\n");
}
#define SHOW(type, ...)                                      \
    do {                                                     \
        type x;                                              \
        memset(&x, 0, sizeof x);                             \
        __VA_ARGS__                                          \
        show(#type, &x, sizeof x);                           \
        printf("%zu\n", _Alignof(type));                     \
    } while (0)
int main(void) {
    SHOW(struct a, x.a = 21; x.b = 11; x.c = -3; x.d = 4; x.e = 2;);
    SHOW(struct b, x.a = 1; x.b = 2; x.c = -100; x.d = 0x123456789a;);
    SHOW(union c, x.a = 0x155;);
    SHOW(struct d, x.a = 1; x.b = 0x2aa; x.c = 0x12345678;);
    return 0;
}
