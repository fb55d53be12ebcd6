int printf(const char *, ...);
int main(void) {
    int i = 5; printf("%d ", i++); printf("%d ", i); printf("%d ", ++i); printf("%d ", i--); printf("%d\n", --i); char c = 127; c++; printf("%d\n", c); unsigned char u = 0; u--; printf("%d\n", u); double d = 1.5; d++; printf("%f ", d--); printf("%f\n", --d); float f = 0.5f; ++f; printf("%f\n", f++);
    int a[] = {1, 2, 3, 4}, *p = a; printf("%d ", *p++); printf("%d ", *++p); printf("%d ", (*p)++); printf("%d ", ++*p); printf("%d\n", *p--); printf("%d\n", *p); short s = 32767; s++; printf("%d\n", s); long l = -1; l++; printf("%ld\n", l); char str[] = "abc", *q = str; while (*q) (*q++)++; printf("%s\n", str); int **pp = &p; ++*pp; printf("%d\n", **pp); (*pp)--; --*--*pp; printf("%d\n", a[0]); unsigned w = 0; printf("%u ", w--); printf("%u\n", w); - - i; printf("%d %d\n", - -i, -(-i)); return i;
}
