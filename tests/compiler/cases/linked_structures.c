int printf(const char *, ...);
void *malloc(unsigned long);
void *calloc(unsigned long, unsigned long);
void free(void *);
struct node {
    int v;
    struct node *l, *r;
};
static struct node *insert(struct node *n, int v) {
    if (!n) {
        n = calloc(1, sizeof *n);
        n->v = v;
    } else if (v < n->v)
        n->l = insert(n->l, v);
    else
        n->r = insert(n->r, v);
    return n;
}
static void walk(const struct node *n, void (*f)(int, void *), void *x) {
    if (n) {
        walk(n->l, f, x);
        f(n->v, x);
        walk(n->r, f, x);
    }
}
static void add(int v, void *x) {
    *(int *)x += v;
    printf("%d ", v);
}
static void drop(struct node *n) {
    if (n) {
        drop(n->l);
        drop(n->r);
        free(n);
    }
}
struct list {
    struct list *next, **prev;
    int v;
};
static void push(struct list **h, struct list *n) {
    n->next = *h;
    n->prev = h;
    if (*h)
        (*h)->prev = &n->next;
    *h = n;
}
int main(void) {
    struct node *root = 0;
    for (int i = 0; i < 10; i++)
        root = insert(root, i * 7 % 10);
    int s = 0;
    walk(root, add, &s);
    printf("%d\n", s);
    drop(root);
    struct list *h = 0, items[4];
    for (int i = 0; i < 4; i++) {
        items[i].v = i;
        push(&h, &items[i]);
    }
    *items[2].prev = items[2].next;
    for (struct list *p = h; p; p = p->next)
        printf("%d ", p->v);
    char *m = malloc(10);
    m[0] = 'k';
    m[1] = 0;
    printf("%s\n", m);
    free(m);
    return 0;
}
