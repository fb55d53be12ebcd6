int printf(const char *, ...);
enum later;
static int takes(enum later *p);
enum later { L0, L1 = 40, L2 };
static int takes(enum later *p) { return *p; }
enum later made(void) { return L2; }
int main(void) { enum later l = L1; printf("%d %d %zu\n", takes(&l), made(), sizeof(enum later)); return 0; }
