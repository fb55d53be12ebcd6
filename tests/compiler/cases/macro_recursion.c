int printf(const char *, ...);
#define f(x) x + f(x * 2)
#define g f
#define A B
#define B A
#define cat(a, b) a##b
#define xcat(a, b) cat(a, b)
#define str(x) #x
#define xstr(x) str(x)
#define EMPTY
#define LP (
#define CALL(x) x LP 3 )
#define hash_hash # ## #
int main(void) {
    printf("%s|%s|%s\n", xstr(f(1)), xstr(g(2)(3)), xstr(A B));
    printf("%s|%s|%s\n", xstr(xcat(a, xcat(b, c))), xstr(CALL(str)), xstr(EMPTY x EMPTY));
    printf("%s|%s\n", str( "a\n" 'b'  c ), xstr(hash_hash));
    return 0;
}
