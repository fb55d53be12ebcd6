int printf(const char *, ...);
#define SHOW(t) printf("%s %zu %zu %d\n", #t, sizeof(t), _Alignof(t), (t)-1 < (t)0)
int main(void) {
    SHOW(char);
    SHOW(signed char);
    SHOW(unsigned char);
    SHOW(short);
    SHOW(unsigned short);
    SHOW(short int);
    SHOW(int);
    SHOW(unsigned);
    SHOW(signed);
    SHOW(long);
    SHOW(unsigned long);
    SHOW(long long);
    SHOW(unsigned long long);
    SHOW(long unsigned int);
    SHOW(int long long unsigned);
    SHOW(_Bool);
    SHOW(__int128);
    SHOW(unsigned __int128);
    return 0;
}
