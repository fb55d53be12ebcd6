"""dtype_of against ctypes: the same bytes read by both."""

import ctypes
import subprocess
import sys

import numpy
import pytest

from skep.btf import ctypes_type
from skep.errors import MapError
from skep.maps.dtypes import dtype_of

TEXT = """
struct inner { char tag; short pair[2]; };
union both { u32 word; u8 bytes[4]; };
struct all {
    u8 small; u64 large; s16 negative; bool flag; char name[6]; char table[2][3];
    struct inner nested; struct inner many[3]; union both either; void *where;
    unsigned __int128 wide; int grid[2][3]; double real;
    union { u32 first; s32 second; }; enum { A, B } choice;
};
struct bits { u32 before; u32 low : 3; u32 high : 29; u32 after; };
BPF_HASH(m, u32, struct all);
BPF_HASH(n, u32, struct bits);
"""


def record(name):
    from skep import compile

    btf = compile(TEXT).btf
    return ctypes_type(btf, btf.find(name, "struct"))


def check(view, value, ctype):
    """Every field of the structured value is what ctypes reads."""
    for name in view.dtype.names:
        if name.startswith("__bits_"):
            continue
        got, want = view[name], getattr(value, name)
        kind = type(want)
        if isinstance(want, (ctypes.Structure, ctypes.Union)):
            check(got, want, kind)
        elif isinstance(want, ctypes.Array) and issubclass(kind._type_, ctypes.Structure):
            for one, two in zip(got, want, strict=True):
                check(one, two, kind._type_)
        elif isinstance(want, ctypes.Array):
            assert bytes(want) == got.tobytes()
        else:
            assert got == want, name


def test_reads_what_ctypes_reads_from_random_bytes():
    ctype = record("all")
    dtype = dtype_of(ctype)
    assert dtype.itemsize == ctypes.sizeof(ctype)
    random = numpy.random.default_rng(7)
    for _ in range(20):
        data = bytearray(random.integers(1, 128, dtype.itemsize, dtype="u1").tobytes())
        data[ctype.flag.offset] = 1
        value = ctype.from_buffer_copy(data)
        check(numpy.frombuffer(data, dtype)[0], value, ctype)
        assert numpy.frombuffer(data, dtype)["first"][0] == value.first


def test_bit_fields_are_the_integer_that_holds_them():
    ctype = record("bits")
    value = ctype()
    value.low, value.high = 5, 0x1234567
    view = numpy.frombuffer(bytes(value), dtype_of(ctype))[0]
    (unit,) = [name for name in view.dtype.names if name.startswith("__bits_")]
    assert unit == f"__bits_{ctype.low.offset}"
    assert view[unit] == 5 | 0x1234567 << 3


def test_bit_fields_that_ctypes_cannot_place_are_bytes():
    class Placed(ctypes.Structure):  # as ctypes_types makes it where ctypes' layout differs
        _pack_ = 1
        _layout_ = "ms"
        _fields_ = [("first", ctypes.c_uint8), ("__pad_1", ctypes.c_char * 3)]
        flag = property(lambda self: 1)

    assert dtype_of(Placed) == numpy.dtype([("first", "u1"), ("__bits_1", "u1", 3)])


@pytest.mark.parametrize(
    ("ctype", "dtype"),
    [
        (ctypes.c_uint64, "u8"), (ctypes.c_int16, "i2"), (ctypes.c_bool, "?"), (ctypes.c_char, "S1"), (ctypes.c_char * 5, "S5"),
        (ctypes.c_void_p, "u8"), (ctypes.POINTER(ctypes.c_int), "u8"), (ctypes.c_uint32 * 3, ("u4", (3,))),
        (ctypes.c_char * 3 * 2, ("S3", (2,))), (ctypes.c_int * 3 * 2, ("i4", (2, 3))), (ctypes.c_char * 0, ("S1", (0,))),
        (ctypes.c_uint32.__ctype_be__, ">u4"), (ctypes.c_longdouble, "f16"), (ctypes.c_float, "f4"),
    ],
)  # fmt: skip
def test_plain_types(ctype, dtype):
    assert dtype_of(ctype) == numpy.dtype(dtype)
    assert dtype_of(ctype).itemsize == ctypes.sizeof(ctype)


def test_what_is_no_data_is_refused():
    with pytest.raises(MapError, match="no counterpart in numpy"):
        dtype_of(ctypes.py_object)


def test_the_module_does_not_import_numpy():
    code = "import sys, skep.maps.dtypes; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
