int printf(const char *, ...);
static int f(int n) {
    int s = 0;
top:
    if (n <= 0)
        goto out;
    s += n--;
    goto top;
out:
    return s;
}
static int into(int n) {
    if (n)
        goto in;
    {
        int x = 5;
        printf("skipped %d\n", x);
    in:
        x = n * 2;
        return x;
    }
}
static int loopin(int n) {
    int i = 100, c = 0;
    goto middle;
    for (i = 0; i < n; i++) {
        c += 10;
    middle:
        c++;
        if (i == 100)
            i = -1;
    }
    return c;
}
int main(void) {
    printf("%d %d %d %d\n", f(10), into(0), into(4), loopin(3));
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            if (i * j == 2)
                goto done;
            printf("%d%d ", i, j);
        }
done:
    printf("\n");
    {
        int n = 0;
    again:;
        int v[2] = {n, n + 1};
        if (n++ < 2)
            goto again;
        printf("%d %d\n", v[0], v[1]);
    }
    goto end;
    printf("never\n");
end:;
    if (0) {
    dead:
        printf("dead\n");
        return 3;
    }
    goto dead;
}
