int printf(const char *, ...);
char a[] = "abc", b[3] = "abc", c[5] = "a", d[2][4] = {"xyz", {"uv"}}, e[] = {"paren" "thes"}; static const char *p = "x\0y";
struct { char n[4]; int v; } t[] = {{"one", 1}, {"four", 4}}; static unsigned char u[] = "\xff\x01";
int main(void) { char l[8] = "lo"; printf("%zu %zu %d %s %s\n", sizeof a, sizeof b, b[2], d[0], d[1]); printf("%s %zu %c %d\n", e, sizeof e, p[2], c[4]); printf("%s %.4s %d %d\n", t[0].n, t[1].n, t[1].v, u[0]); printf("%d %d %zu\n", l[1], l[7], sizeof "a" "bc"); printf("%c\n", *"hello" + "hello"[4] - 'h'); return 0; }
