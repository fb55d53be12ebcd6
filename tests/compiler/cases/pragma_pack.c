// #pragma pack: members, bit-fields, nested records, push and pop with names, attributes beside it
#include <stddef.h>
#include <stdio.h>
#include <string.h>
struct before { char c; long l; };
#pragma pack(push)
#pragma pack(1)
struct one { char c; long l; short s; int i; };
struct bits1 { unsigned a : 3; unsigned b : 30; unsigned long c : 40; char d; };
struct nested1 { char c; struct before b; struct { char x; int y; } in; };
union u1 { char c; long l; };
struct aligned1 { char c; int i __attribute__((aligned(8))); };
#pragma pack(pop)
#pragma pack(push, 2)
struct two { char c; long l; char d; int i; };
struct bits2 { char c; unsigned a : 5; unsigned b : 28; short s; unsigned long d : 33; };
#pragma pack(push, wide, 8)
struct eight { char c; long l; long double x; };
#pragma pack(push, 4)
struct four { char c; long l; double d; };
#pragma pack(pop, wide)
struct two_again { char c; int i; };
#pragma pack(pop)
struct after { char c; long l; };
#pragma pack(2)
struct packed_too { char c; int i; } __attribute__((packed));
struct wide_too { char c; int i; } __attribute__((aligned(16)));
struct zero { char c; int : 0; char d; unsigned e : 9; };
#pragma pack()
struct plain { char c; int i; };
_Pragma("pack(1)") struct op { char c; int i; }; _Pragma("pack()")
struct inside {
#pragma pack(1)
    char c;
    struct { char c; int i; } in;
    int i;
#pragma pack()
};
#define SHOW(t) printf("%s %zu %zu\n", #t, sizeof(t), _Alignof(t))
int main(void) {
    SHOW(struct before); SHOW(struct one); SHOW(struct bits1); SHOW(struct nested1); SHOW(union u1); SHOW(struct aligned1);
    SHOW(struct two); SHOW(struct bits2); SHOW(struct eight); SHOW(struct four); SHOW(struct two_again); SHOW(struct after);
    SHOW(struct packed_too); SHOW(struct wide_too); SHOW(struct zero); SHOW(struct plain); SHOW(struct op); SHOW(struct inside);
    printf("%zu %zu %zu\n", offsetof(struct one, l), offsetof(struct one, i), offsetof(struct two, i));
    struct bits1 b = {5, 0x2abcdef1, 0x12345678ab, 7};
    struct bits2 c = {1, 21, 0x7654321, -2, 0x1abcdef01};
    unsigned char raw[sizeof b + sizeof c];
    memcpy(raw, &b, sizeof b);
    memcpy(raw + sizeof b, &c, sizeof c);
    for (unsigned i = 0; i < sizeof raw; i++) printf("%02x", raw[i]);
    b.b += 77;
    c.b--;
    c.d ^= 0x155555555;
    printf("\n%x %x %lx %d %x %x %d %lx\n", b.a, b.b, (unsigned long)b.c, b.d, c.a, c.b, c.s, (unsigned long)c.d);
    struct one o[3] = {{1, 2, 3, 4}, {5, -6, 7, -8}};
    long sum = 0;
    for (int i = 0; i < 3; i++) sum = sum * 31 + o[i].c + o[i].l + o[i].s + o[i].i;
    printf("%ld %zu\n", sum, sizeof o);
    return 0;
}
