int printf(const char *, ...);
int main(void) {
    char text[16] = "ab";
    __builtin_strncat(text, "cdef", 2);
    char *copy = __builtin_strdup(text);
    printf("%s %s %lu %lu %s\n", text, copy, __builtin_strspn(text, "ab"), __builtin_strcspn(text, "d"), __builtin_strpbrk(text, "xc"));
    copy[1] = 'x';
    printf("%d %d\n", __builtin_strcmp(text, copy) < 0, __builtin_strncmp(text, copy, 1));
    __builtin_free(copy);
    return 0;
}
