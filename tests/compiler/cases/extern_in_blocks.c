int printf(const char *, ...);
static int hidden = 3;
int shown = 4;
int main(void) {
    extern int shown; { extern int printf(const char *, ...); int hidden = 5; { extern int shown; shown += hidden; } }
    int later(int); printf("%d %d\n", shown + hidden, later(2));
    return 0;
}
int later(int x) { extern int afterwards; return x * afterwards; }
int afterwards = 21;
