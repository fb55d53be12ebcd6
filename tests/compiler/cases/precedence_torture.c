int printf(const char *, ...);
int main(void) {
    int a = 5, b = 3, c = 2, *p = &a, x[3] = {7, 8, 9}, *q = x;
    printf("%d %d %d\n", a & b == 3, (a & b) == 3, a | b ^ c & 1); printf("%d %d\n", a << 1 + 1, a - b - c);
    printf("%d %d %d\n", -a % b, !a == !b, ~a & b); printf("%d %d\n", a > b > c, a ? b : c ? 1 : 2);
    printf("%d ", *q++); printf("%d ", (*q)++); printf("%d ", *++q); printf("%d\n", x[1]);
    printf("%d %d\n", sizeof a + 1 == 5, (int)sizeof(char) * 3); printf("%d %d\n", c - -b, a+++b); printf("%d\n", a * *p / +c);
    return 0;
}
