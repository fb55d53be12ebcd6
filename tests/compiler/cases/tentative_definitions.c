int printf(const char *, ...);
int a;
int a;
int a = 5;
extern int a;
int b;
extern int c;
int c = 3;
static int d;
static int d;
int arr[];
int arr[3] = {1, 2, 3};
extern int later[];
struct t;
struct t *tp;
struct t {
    int v;
};
struct t ts;
struct t *tp = &ts;
int use(void);
static int fwd(int);
int (*pf)(int) = fwd;
extern const char msg[];
const char msg[] = "hi";
int zero[4];
int main(void) {
    extern int b;
    b = 2;
    d = 4;
    ts.v = 9;
    printf("%d %d %d %d %d %d %d %s\n", a, b, c, d, arr[2], tp->v, use(), msg);
    printf("%d %d\n", later[1], zero[3]);
    return pf(1);
}
int use(void) { return b * 10; }
static int fwd(int x) { return x + 41; }
int later[2] = {7, 8};
extern int a;
