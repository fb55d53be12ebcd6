#define __ARG_PLACEHOLDER_1 0,
#define __take_second_arg(__ignored, val, ...) val
#define __is_defined(x) ___is_defined(x)
#define ___is_defined(val) ____is_defined(__ARG_PLACEHOLDER_##val)
#define ____is_defined(arg1_or_junk) __take_second_arg(arg1_or_junk 1, 0)
#define IS_ENABLED(o) __is_defined(o)
#define CONFIG_A 1
#if IS_ENABLED(CONFIG_A)
yes
#endif
#if IS_ENABLED(CONFIG_B)
no
#else
yes2
#endif
IS_ENABLED(CONFIG_A) IS_ENABLED(CONFIG_B)
