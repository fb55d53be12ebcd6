int printf(const char *, ...);
#line 500
int a = __LINE__;
#line 10 "other.c"
int b = __LINE__; const char *f = __FILE__;
#define L __LINE__
int main(void) {
    printf("%d %d %s %d\n", a, b, f,
           L); printf("%s\n", __func__);
    return 0;
}
