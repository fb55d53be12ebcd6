int printf(const char *, ...);
struct s {
    char a;
    int b;
    char c;
};
struct e {};
union u {
    int i;
    char c[7];
};
typedef int arr[5];
struct n {
    struct s s;
    char x;
};
static int f(int a[10]) { return sizeof a; }
int main(void) {
    int a[3][4], *p;
    int n = 1;
    struct s s;
    printf("%zu %zu %zu %zu\n", sizeof(struct s), sizeof(struct e), sizeof(union u), sizeof(arr));
    printf("%zu %zu %zu %zu %zu\n", sizeof a, sizeof a[0], sizeof a[0][0], sizeof *a, sizeof &a);
    printf("%zu %zu %zu %zu\n", sizeof p, sizeof *p, sizeof(int *), sizeof(int(*)[3]));
    printf("%zu %zu %zu %zu\n", sizeof 'a', sizeof "abc", sizeof 1L, sizeof((char)1));
    printf("%zu %d\n", sizeof n++, n);
    printf("%zu %zu %zu\n", sizeof s.b, sizeof(s), sizeof(&s)->a);
    printf("%zu %zu\n", sizeof(struct n), sizeof(sizeof 1));
    printf("%d\n", f(a[0]));
    printf("%zu %zu\n", sizeof(void *), sizeof(void));
    printf("%zu\n", sizeof(int) * 2 + sizeof n);
    printf("%zu %zu\n", sizeof(int[2 > 0 ? 3 : 4]) / sizeof(int), sizeof(a + 0));
    printf("%zu %zu\n", sizeof f(0), sizeof(1, 2.0));
    printf("%zu\n", sizeof(struct {
               int x;
               char y;
           }));
    printf("%zu\n", -sizeof(int) > 0 ? sizeof(short) : 0);
    return sizeof(char[7]);
}
