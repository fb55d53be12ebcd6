int printf(const char *, ...);
signed char sc;
unsigned char uc;
short ss;
unsigned short us;
int si;
unsigned ui;
long sl;
unsigned long ul;
static void show(void) { printf("%d %d %d %d %d %u %ld %lu\n", sc, uc, ss, us, si, ui, sl, ul); }
int main(void) {
    long long values[] = {0,
                          1,
                          -1,
                          127,
                          128,
                          255,
                          256,
                          32767,
                          32768,
                          65535,
                          65536,
                          2147483647LL,
                          2147483648LL,
                          4294967295LL,
                          4294967296LL,
                          -128,
                          -129,
                          -32769,
                          -2147483649LL,
                          0x7fffffffffffffffLL};
    for (unsigned i = 0; i < sizeof values / sizeof values[0]; i++) {
        sc = values[i];
        uc = values[i];
        ss = values[i];
        us = values[i];
        si = values[i];
        ui = values[i];
        sl = values[i];
        ul = values[i];
        show();
        sl = sc;
        ul = sc;
        ui = sc;
        us = sc;
        show();
        sl = uc;
        ul = uc;
        ui = uc;
        ss = uc;
        show();
        sl = ui;
        ul = si;
        show();
        sc = si;
        uc = sl;
        ss = ul;
        us = ui;
        show();
    }
    return (unsigned char)300;
}
