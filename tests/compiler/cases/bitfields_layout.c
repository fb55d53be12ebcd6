int printf(const char *, ...);
void *memset(void *, int, unsigned long);
struct a {
    int x : 7;
    int : 0;
    int y : 3;
};
struct b {
    int x : 30;
    int y : 30;
};
struct c {
    char a;
    int b : 24;
    int c;
};
struct d {
    short a : 10;
    short b : 10;
    char c;
};
struct e {
    long a : 33;
    int b : 20;
    int c : 12;
    char d;
};
struct f {
    char a : 4;
    int b : 12;
    char c : 4;
};
struct g {
    int : 5;
    unsigned x : 5;
};
struct h {
    char a;
    int : 12;
    char b;
};
struct i {
    unsigned long a : 63;
    unsigned long b : 2;
};
union u {
    int a : 5;
    unsigned b : 9;
    char c;
};
struct j {
    char a : 1;
    long b : 1;
};
struct k {
    int a;
    char b : 7;
    short c : 9;
    long d : 50;
};
struct m {
    unsigned char a : 8;
    unsigned b : 8, c : 8, d : 9;
};
#define DUMP(T, ...)                                                                                                             \
    do {                                                                                                                         \
        struct T s;                                                                                                              \
        memset(&s, 0, sizeof s);                                                                                                 \
        __VA_ARGS__;                                                                                                             \
        unsigned char *p = (unsigned char *)&s;                                                                                  \
        printf(#T " %zu %zu ", sizeof s, _Alignof(struct T));                                                                    \
        for (unsigned n = 0; n < sizeof s; n++)                                                                                  \
            printf("%02x", p[n]);                                                                                                \
        printf("\n");                                                                                                            \
    } while (0)
int main(void) {
    DUMP(a, s.x = -1, s.y = -1);
    DUMP(b, s.x = -1, s.y = 1);
    DUMP(c, s.a = 1, s.b = 0x223344, s.c = 5);
    DUMP(d, s.a = 1, s.b = 3, s.c = 9);
    DUMP(e, s.a = -1, s.b = 1, s.c = -1, s.d = 4);
    DUMP(f, s.a = 5, s.b = 0x777, s.c = 3);
    DUMP(g, s.x = 31);
    DUMP(h, s.a = 1, s.b = 2);
    DUMP(i, s.a = 1, s.b = 3);
    DUMP(j, s.a = 1, s.b = 1);
    DUMP(k, s.a = 1, s.b = 2, s.c = 3, s.d = 4);
    DUMP(m, s.a = 1, s.b = 2, s.c = 3, s.d = 4);
    union u u;
    memset(&u, 0, sizeof u);
    u.b = 511;
    printf("%d %d %zu\n", u.a, u.c, sizeof u);
    return 0;
}
