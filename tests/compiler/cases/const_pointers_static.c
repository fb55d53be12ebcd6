int printf(const char *, ...);
static const char *const names[] = {"zero", "one", [3] = "three"};
static int x[4] = {1, 2, 3, 4};
static int *const mid = x + 2, *end = &x[4];
static const struct { const char *n; int *p; int (*f)(const char *, ...); } t = {"t" "u", &x[1], printf};
int main(void) {
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) printf("%s ", names[i] ? names[i] : "-");
    t.f("%d %td %s %d\n", *mid, end - mid, t.n + 1, *t.p);
    mid[-1] = 8; printf("%d\n", *t.p);
    return 0;
}
