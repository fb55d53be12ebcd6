int printf(const char *, ...);
struct f1 {
    float a;
};
struct f2 {
    float a, b;
};
struct f3 {
    float a, b, c;
};
struct d2 {
    double a, b;
};
struct m1 {
    double a;
    int b;
};
struct m2 {
    int a;
    float b;
    double c;
};
struct c3 {
    char a, b, c;
};
struct c16 {
    char b[16];
};
struct c17 {
    char b[17];
};
struct __attribute__((packed)) pk {
    char a;
    int b;
};
union un {
    int i;
    float f;
    double d;
};
struct bf {
    int a : 5;
    long b : 40;
};
struct ld {
    long double d;
};
struct i2 {
    __int128 v;
};
struct arr {
    short s[3];
};
struct nest {
    struct f2 a;
    struct c3 b;
};
struct emp {};
#define ECHO(T)                                                                                                                  \
    static struct T e_##T(struct T v) { return v; } static struct T (*volatile p_##T)(struct T) = e_##T;
ECHO(f1)
ECHO(f2) ECHO(f3) ECHO(d2) ECHO(m1) ECHO(m2) ECHO(c3) ECHO(c16) ECHO(c17) ECHO(pk) ECHO(bf) ECHO(ld) ECHO(i2) ECHO(arr) ECHO(nest)
    ECHO(emp) static union un eu(union un v, int k) {
    v.i += k;
    return v;
}
static int spill(struct c16 a, struct c16 b, struct c16 c, struct c16 d, struct d2 e, struct d2 f, struct d2 g, struct d2 h,
                 struct d2 i, int j) {
    return a.b[0] + b.b[15] + c.b[1] + d.b[2] + e.a + f.b + g.a + h.b + i.a + j;
}
int main(void) {
    struct f1 f1 = p_f1((struct f1){1.5});
    struct f2 f2 = p_f2((struct f2){1, 2});
    struct f3 f3 = p_f3((struct f3){1, 2, 3});
    struct d2 d2 = p_d2((struct d2){4, 5});
    struct m1 m1 = p_m1((struct m1){6, 7});
    struct m2 m2 = p_m2((struct m2){8, 9, 10});
    printf("%g %g %g %g %g %g %g %d %d %g %g\n", f1.a, f2.a, f2.b, f3.b, f3.c, d2.a, d2.b, m1.b, m2.a, m2.b, m2.c);
    struct c3 c3 = p_c3((struct c3){1, 2, 3});
    struct c16 c16 = p_c16((struct c16){"abcdefghijklmno"});
    struct c17 c17 = p_c17((struct c17){"abcdefghijklmnop"});
    struct pk pk = p_pk((struct pk){1, 99});
    struct bf bf = p_bf((struct bf){-3, 1L << 38});
    printf("%d %s %s %d %d %ld\n", c3.c, c16.b, c17.b, pk.b, bf.a, (long)bf.b);
    struct ld ld = p_ld((struct ld){2.25L});
    struct i2 i2 = p_i2((struct i2){(__int128)5 << 70});
    struct arr arr = p_arr((struct arr){{1, 2, 3}});
    struct nest n = p_nest((struct nest){{1, 2}, {3, 4, 5}});
    struct emp em = p_emp((struct emp){});
    (void)em;
    printf("%Lg %lx %d %g %d\n", ld.d, (long)(i2.v >> 64), arr.s[2], n.a.b, n.b.c);
    printf("%d\n", eu((union un){5}, 6).i);
    struct d2 z = {1, 2};
    printf("%d\n", spill(c16, c16, c16, c16, z, z, z, z, z, 1));
    return 0;
}
