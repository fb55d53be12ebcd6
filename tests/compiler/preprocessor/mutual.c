#define AB BA
#define BA AB
AB BA
