int printf(const char *, ...);
static const char *days[] = {"mon", "tue", [6] = "sun"};
char table[3][4] = {"abc", "de", {'f'}};
static char buf[] = "text", exact[4] = "four", *p = buf;
const char nul[] = "a\0b";
struct n {
    char name[8];
    int v;
} recs[] = {{"one", 1}, {"two", 2}, {{'t', 'h'}, 3}};
char two[2][2][3] = {{"ab", "cd"}, {"ef"}};
int main(void) {
    printf("%s %s %d %zu\n", days[1], days[6], days[3] == 0, sizeof days / sizeof *days);
    printf("%s %s %s %d\n", table[0], table[1], table[2], table[2][3]);
    buf[0] = 'n';
    printf("%s %.4s %s\n", p, exact, p + 2);
    printf("%zu %s %c\n", sizeof nul, nul, nul[2]);
    for (int i = 0; i < 3; i++)
        printf("%s=%d ", recs[i].name, recs[i].v);
    printf("\n%s %s %zu\n", two[0][1], two[1][0], sizeof two);
    char local[10] = "loc", rest[] = {'x', 'y', 0};
    printf("%s %d %s\n", local, local[9], rest);
    const char *q = "abc";
    while (*q)
        printf("%c-", *q++);
    char *mix[2] = {local, "lit"};
    printf("%s %s\n", mix[0], mix[1]);
    unsigned char uc[] = "\xff\x01";
    printf("%d %zu\n", uc[0], sizeof uc);
    printf("%s\n", "abc" + 1);
    printf("%c %c\n", *"xyz", "xyz"[2]);
    printf("%d\n", sizeof("a"
                          "b") == 3);
    return 0;
}
