"""What a C text finds on this machine besides its headers: predefined macros, and builtins that are library functions.

Facts of x86-64 Linux (LP64, IEEE 754, x87 long double), as `clang -dM -E` shows them.
"""

from __future__ import annotations

MACROS: dict[str, str] = {
    "__x86_64__": " 1", "__x86_64": " 1", "__linux__": " 1", "__unix__": " 1", "__STDC_HOSTED__": " 1",
    "__gnu_linux__": " 1", "linux": " 1", "unix": " 1", "offsetof": "(t, m) __builtin_offsetof(t, m)",
    "__STDC_IEC_559__": " 1", "__FLT_RADIX__": " 2", "__FLT_EVAL_METHOD__": " 0",
    "__FLT_MANT_DIG__": " 24", "__FLT_DIG__": " 6", "__FLT_DECIMAL_DIG__": " 9", "__FLT_MIN_EXP__": " (-125)",
    "__FLT_MAX_EXP__": " 128", "__FLT_MIN_10_EXP__": " (-37)", "__FLT_MAX_10_EXP__": " 38", "__FLT_MAX__": " 0x1.fffffep127F",
    "__FLT_MIN__": " 0x1p-126F", "__FLT_EPSILON__": " 0x1p-23F", "__FLT_DENORM_MIN__": " 0x1p-149F", "__FLT_HAS_DENORM__": " 1",
    "__DBL_MANT_DIG__": " 53", "__DBL_DIG__": " 15", "__DBL_DECIMAL_DIG__": " 17", "__DBL_MIN_EXP__": " (-1021)",
    "__DBL_MAX_EXP__": " 1024", "__DBL_MIN_10_EXP__": " (-307)", "__DBL_MAX_10_EXP__": " 308",
    "__DBL_MAX__": " 0x1.fffffffffffffp1023", "__DBL_MIN__": " 0x1p-1022", "__DBL_EPSILON__": " 0x1p-52",
    "__DBL_DENORM_MIN__": " 0x1p-1074", "__DBL_HAS_DENORM__": " 1",
    "__LDBL_MANT_DIG__": " 64", "__LDBL_DIG__": " 18", "__LDBL_DECIMAL_DIG__": " 21", "__DECIMAL_DIG__": " 21",
    "__LDBL_MIN_EXP__": " (-16381)", "__LDBL_MAX_EXP__": " 16384", "__LDBL_MIN_10_EXP__": " (-4931)",
    "__LDBL_MAX_10_EXP__": " 4932", "__LDBL_MAX__": " 0x1.fffffffffffffffep16383L", "__LDBL_MIN__": " 0x1p-16382L",
    "__LDBL_EPSILON__": " 0x1p-63L", "__LDBL_DENORM_MIN__": " 0x1p-16445L", "__LDBL_HAS_DENORM__": " 1",
    "__SIZEOF_FLOAT__": " 4", "__SIZEOF_DOUBLE__": " 8", "__SIZEOF_LONG_DOUBLE__": " 16",
    "__WINT_TYPE__": " unsigned int", "__WCHAR_MIN__": " (-2147483647 - 1)", "__WINT_MAX__": " 4294967295U",
    "__WINT_MIN__": " 0U", "__WINT_UNSIGNED__": " 1",
    "__SIG_ATOMIC_TYPE__": " int", "__SIG_ATOMIC_MIN__": " (-2147483647 - 1)", "__SCHAR_WIDTH__": " 8",
    "__LONG_LONG_WIDTH__": " 64", "__BIGGEST_ALIGNMENT__": " 16", "__FINITE_MATH_ONLY__": " 0", "__amd64__": " 1",
    "__amd64": " 1", "__linux": " 1", "__unix": " 1",
}  # fmt: skip
for _name in ("FLT", "DBL", "LDBL"):
    MACROS |= {
        f"__{_name}_HAS_INFINITY__": " 1",
        f"__{_name}_HAS_QUIET_NAN__": " 1",
        f"__{_name}_NORM_MAX__": f" __{_name}_MAX__",
    }
MACROS |= {f"__GCC_HAVE_SYNC_COMPARE_AND_SWAP_{_size}": " 1" for _size in (1, 2, 4, 8)}

_MATH = ("sqrt sin cos tan asin acos atan exp exp2 log log2 log10 floor ceil trunc round rint nearbyint fabs cbrt").split()
_MATH2 = ["pow", "fmod", "atan2", "fmin", "fmax", "copysign", "hypot", "fdim"]
# __builtin_NAME is the library's NAME: result and parameters
LIBRARY: dict[str, tuple[str, str]] = {
    "abort": ("void", "void"), "exit": ("void", "int"), "printf": ("int", "const char *, ..."), "puts": ("int", "const char *"),
    "putchar": ("int", "int"), "sprintf": ("int", "char *, const char *, ..."),
    "snprintf": ("int", "char *, unsigned long, const char *, ..."), "malloc": ("void *", "unsigned long"),
    "calloc": ("void *", "unsigned long, unsigned long"), "realloc": ("void *", "void *, unsigned long"),
    "free": ("void", "void *"),
    "strlen": ("unsigned long", "const char *"), "strcmp": ("int", "const char *, const char *"),
    "strncmp": ("int", "const char *, const char *, unsigned long"), "strcpy": ("char *", "char *, const char *"),
    "strncpy": ("char *", "char *, const char *, unsigned long"), "strcat": ("char *", "char *, const char *"),
    "strncat": ("char *", "char *, const char *, unsigned long"), "strspn": ("unsigned long", "const char *, const char *"),
    "strcspn": ("unsigned long", "const char *, const char *"), "strpbrk": ("char *", "const char *, const char *"),
    "strdup": ("char *", "const char *"),
    "strchr": ("char *", "const char *, int"), "strrchr": ("char *", "const char *, int"),
    "strstr": ("char *", "const char *, const char *"), "memchr": ("void *", "const void *, int, unsigned long"),
    "mempcpy": ("void *", "void *, const void *, unsigned long"), "stpcpy": ("char *", "char *, const char *"),
    "toupper": ("int", "int"), "tolower": ("int", "int"), "isdigit": ("int", "int"), "isalpha": ("int", "int"),
}  # fmt: skip
for _suffix, _type in (("", "double"), ("f", "float"), ("l", "long double")):
    LIBRARY |= {name + _suffix: (_type, _type) for name in _MATH}
    LIBRARY |= {name + _suffix: (_type, f"{_type}, {_type}") for name in _MATH2}
    LIBRARY |= {f"lround{_suffix}": ("long", _type), f"ldexp{_suffix}": (_type, f"{_type}, int")}

# __builtin_NAME(x, y) as an expression in C
TEXTS: dict[str, tuple[tuple[str, ...], str]] = {
    "isnan": (("x",), "(x != x)"),
    "isinf": (("x",), "(x == __builtin_inf() ? 1 : x == -__builtin_inf() ? -1 : 0)"),
    "isinf_sign": (("x",), "(x == __builtin_inf() ? 1 : x == -__builtin_inf() ? -1 : 0)"),
    "isfinite": (("x",), "(x - x == 0)"),
    "isnormal": (("x",), "(__builtin_fabsl(x) >= (sizeof(x) == 4 ? 0x1p-126 : sizeof(x) == 8 ? 0x1p-1022 : "
    "0x1p-16382L) && x - x == 0)"),
    "signbit": (("x",), "({ union { double d; unsigned long u; } _v = {.d = x}; (int)(_v.u >> 63); })"),
    "signbitf": (("x",), "({ union { double d; unsigned long u; } _v = {.d = x}; (int)(_v.u >> 63); })"),
    "signbitl": (("x",), "({ union { double d; unsigned long u; } _v = {.d = x}; (int)(_v.u >> 63); })"),
    "isgreater": (("x", "y"), "(x > y)"), "isgreaterequal": (("x", "y"), "(x >= y)"), "isless": (("x", "y"), "(x < y)"),
    "islessequal": (("x", "y"), "(x <= y)"), "islessgreater": (("x", "y"), "(x < y || x > y)"),
    "isunordered": (("x", "y"), "(x != x || y != y)"),
}  # fmt: skip
