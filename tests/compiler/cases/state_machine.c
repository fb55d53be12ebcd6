int printf(const char *, ...);
enum st { S_START, S_NUM, S_ID, S_OP, S_END };
enum ev { DIGIT, LETTER, OTHER, NUL };
static const unsigned char next[][4] = {[S_START] = {S_NUM, S_ID, S_OP, S_END},
                                        [S_NUM] = {S_NUM, S_ID, S_OP, S_END},
                                        [S_ID] = {S_ID, S_ID, S_OP, S_END},
                                        [S_OP] = {S_NUM, S_ID, S_OP, S_END}};
static enum ev class(char c) {
    switch (c){case '0' ... '9' : return DIGIT; case 'a' ... 'z' : case 'A' ... 'Z' : return LETTER; case 0 : return NUL;}
return OTHER;
}
struct vm {
    int stack[16], *sp;
    const char *pc;
};
static int run(struct vm *vm) {
    vm->sp = vm->stack;
    for (;;) {
        switch (*vm->pc++) {
        case '0' ... '9':
            *vm->sp++ = vm->pc[-1] - '0';
            break;
        case '+':
            vm->sp--;
            vm->sp[-1] += *vm->sp;
            break;
        case '*':
            --vm->sp;
            vm->sp[-1] *= vm->sp[0];
            break;
        case '-':
            vm->sp -= 1;
            *(vm->sp - 1) -= *vm->sp;
            continue;
        case '\0':
            return vm->sp[-1];
        default:;
        }
    }
}
int main(void) {
    const char *text = "x1+42*foo";
    enum st s = S_START;
    int counts[S_END + 1] = {0};
    do {
        s = next[s][class(*text)];
        counts[s]++;
    } while (*text++);
    for (int i = 0; i <= S_END; i++)
        printf("%d ", counts[i]);
    struct vm vm = {.pc = "34+5*2-"};
    printf("%d\n", run(&vm));
    return 0;
}
