#if 0
don't "bad
#if 1
nested
#else
no
#endif
# weird directive
@ `
#elif 0
no
#elif 1
yes
#elif 1/0
no
#else
no
#endif
