"""Macros that every text has, for BPF and hosts alike: the compiler's names, sizes, limits and types of the integers.

Facts as `clang-19 -dM -E` shows them for both (LP64, little endian); tests/compiler/test_preprocessor.py compares.
"""

from __future__ import annotations

COMMON: dict[str, str] = {
    "__STDC__": " 1", "__STDC_VERSION__": " 201112L", "__STDC_HOSTED__": " 0", "__STDC_UTF_16__": " 1", "__STDC_UTF_32__": " 1",
    "__GNUC__": " 4", "__GNUC_MINOR__": " 2", "__GNUC_PATCHLEVEL__": " 1", "__GNUC_STDC_INLINE__": " 1",
    "__GXX_ABI_VERSION": " 1002",
    "__clang__": " 1", "__clang_major__": " 19", "__clang_minor__": " 1", "__clang_patchlevel__": " 0", "__llvm__": " 1",
    "__clang_literal_encoding__": ' "UTF-8"', "__clang_wide_literal_encoding__": ' "UTF-32"', "__skep__": " 1",
    "__clang_version__": ' "19.1.0 (Skep)"', "__VERSION__": ' "Skep, as Clang 19"', "__USER_LABEL_PREFIX__": "",
    "__ELF__": " 1", "__LP64__": " 1", "_LP64": " 1", "__CHAR_BIT__": " 8", "__POINTER_WIDTH__": " 64", "__BOOL_WIDTH__": " 8",
    "__SIZEOF_SHORT__": " 2", "__SIZEOF_INT__": " 4", "__SIZEOF_LONG__": " 8", "__SIZEOF_LONG_LONG__": " 8",
    "__SIZEOF_INT128__": " 16", "__SIZEOF_POINTER__": " 8", "__SIZEOF_SIZE_T__": " 8", "__SIZEOF_PTRDIFF_T__": " 8",
    "__SIZEOF_WCHAR_T__": " 4", "__SIZEOF_WINT_T__": " 4",
    "__ORDER_LITTLE_ENDIAN__": " 1234", "__ORDER_BIG_ENDIAN__": " 4321", "__ORDER_PDP_ENDIAN__": " 3412",
    "__BYTE_ORDER__": " __ORDER_LITTLE_ENDIAN__", "__LITTLE_ENDIAN__": " 1",
    "__ATOMIC_RELAXED": " 0", "__ATOMIC_CONSUME": " 1", "__ATOMIC_ACQUIRE": " 2", "__ATOMIC_RELEASE": " 3",
    "__ATOMIC_ACQ_REL": " 4", "__ATOMIC_SEQ_CST": " 5", "__GCC_ATOMIC_TEST_AND_SET_TRUEVAL": " 1",
    "__SCHAR_MAX__": " 127", "__SHRT_MAX__": " 32767", "__INT_MAX__": " 2147483647", "__LONG_MAX__": " 9223372036854775807L",
    "__LONG_LONG_MAX__": " 9223372036854775807LL", "__SHRT_WIDTH__": " 16", "__INT_WIDTH__": " 32", "__LONG_WIDTH__": " 64",
    "__LLONG_WIDTH__": " 64", "__CHAR16_TYPE__": " unsigned short", "__CHAR32_TYPE__": " unsigned int",
    "__WCHAR_TYPE__": " int", "__WCHAR_MAX__": " 2147483647", "__WCHAR_WIDTH__": " 32", "__WINT_WIDTH__": " 32",
    "__SIG_ATOMIC_MAX__": " 2147483647", "__SIG_ATOMIC_WIDTH__": " 32",
}  # fmt: skip
for _name in ("BOOL", "CHAR", "CHAR16_T", "CHAR32_T", "WCHAR_T", "SHORT", "INT", "LONG", "LLONG", "POINTER"):
    COMMON[f"__GCC_ATOMIC_{_name}_LOCK_FREE"] = COMMON[f"__CLANG_ATOMIC_{_name}_LOCK_FREE"] = " 2"


def _integer(name: str, bits: int, type: str, unsigned: str, letter: str, suffix: str) -> None:
    """A type's macros: __INT8_TYPE__ and __UINT8_TYPE__ with their limits, widths and letters of printf."""
    signed_max = (1 << bits - 1) - 1
    unsigned_suffix = ("U" if bits >= 32 else "") + suffix
    COMMON[f"__{name}_TYPE__"] = f" {type}"
    COMMON[f"__{name}_MAX__"] = f" {signed_max}{suffix}"
    COMMON[f"__{name}_WIDTH__"] = f" {bits}"
    for kind in "di":
        COMMON[f"__{name}_FMT{kind}__"] = f' "{letter}{kind}"'
    if name == "PTRDIFF":
        return
    COMMON[f"__U{name}_TYPE__"] = f" {unsigned}"
    COMMON[f"__U{name}_MAX__"] = f" {2 * signed_max + 1}{unsigned_suffix}"
    for kind in "ouxX":
        COMMON[f"__U{name}_FMT{kind}__"] = f' "{letter}{kind}"'
    if name == "INTMAX" or name[3:].isdigit():
        for sign, end in (("", suffix), ("U", unsigned_suffix)):
            COMMON[f"__{sign}{name}_C_SUFFIX__"] = f" {end}"
            COMMON[f"__{sign}{name}_C"] = f"(c) c##{end}" if end else "(c) c"


for _bits, _row in {
    8: ("signed char", "unsigned char", "hh", ""),
    16: ("short", "unsigned short", "h", ""),
    32: ("int", "unsigned int", "", ""),
    64: ("long int", "long unsigned int", "l", "L"),
}.items():
    for _name in ("INT", "INT_LEAST", "INT_FAST"):
        _integer(f"{_name}{_bits}", _bits, *_row)
for _name in ("INTMAX", "INTPTR", "PTRDIFF"):
    _integer(_name, 64, "long int", "long unsigned int", "l", "L")
COMMON |= {"__SIZE_TYPE__": " long unsigned int", "__SIZE_MAX__": " 18446744073709551615UL", "__SIZE_WIDTH__": " 64"}
COMMON |= {f"__UINT{_name}_WIDTH__": " 64" for _name in ("MAX", "PTR")}
COMMON |= {f"__SIZE_FMT{_kind}__": f' "l{_kind}"' for _kind in "ouxX"}
