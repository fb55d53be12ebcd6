#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <stdint.h>
#include <stdbool.h>
#include <limits.h>
#include <ctype.h>
#include <errno.h>
#include <assert.h>
#include <time.h>
struct word {
    char text[16];
    int count;
};
static int by_count(const void *a, const void *b) {
    const struct word *x = a, *y = b;
    return y->count - x->count ? y->count - x->count : strcmp(x->text, y->text);
}
int main(int argc, char **argv) {
    const char *text = "the cat and the dog and the bird";
    struct word *words = NULL;
    size_t n = 0;
    char *copy = strdup(text), *save, *t;
    for (t = strtok_r(copy, " ", &save); t; t = strtok_r(NULL, " ", &save)) {
        size_t i;
        for (i = 0; i < n && strcmp(words[i].text, t); i++)
            ;
        if (i == n) {
            words = realloc(words, ++n * sizeof *words);
            assert(words);
            memset(&words[i], 0, sizeof words[i]);
            strncpy(words[i].text, t, sizeof words[i].text - 1);
        }
        words[i].count++;
    }
    qsort(words, n, sizeof *words, by_count);
    for (size_t i = 0; i < n; i++)
        printf("%-5s|%3d\n", words[i].text, words[i].count);
    free(words);
    free(copy);
    bool b = isdigit('7') && !isalpha('7');
    uint8_t u = UINT8_MAX;
    int64_t s = INT64_MIN;
    printf("%d %u %lld %d %ld\n", b, u, (long long)s, INT_MAX, LONG_MIN);
    char buf[64];
    int k = snprintf(buf, sizeof buf, "%08.3f|%+d|%#x|%5s|%-5s|", 3.14159, 5, 255, "ab", "cd");
    printf("%d %s\n", k, buf);
    errno = 0;
    strtol("99999999999999999999", NULL, 10);
    printf("%d\n", errno == ERANGE);
    int a, c;
    float f;
    printf("%d\n", sscanf("12 abc 3.5", "%d %*s %f", &a, &f));
    printf("%d %g %zu\n", a, f, strspn("aab", "a"));
    fputs("end\n", stdout);
    fprintf(stderr, "%s", "");
    struct tm tm = {.tm_year = 100, .tm_mday = 1};
    strftime(buf, sizeof buf, "%Y-%m", &tm);
    puts(buf);
    (void)argv;
    c = argc;
    putchar(toupper('q'));
    putchar('\n');
    return c;
}
