#define foo foo a b
#define bar foo bar
foo bar bar(foo)
