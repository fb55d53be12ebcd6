"""BTF made of ctypes types reads back as the same layout."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from skep.btf import Btf, ctypes_type
from skep.btf.types import Struct
from skep.btf.writer import btf_of
from skep.errors import ObjectError


class Inner(ctypes.Structure):
    _fields_ = (("a", ctypes.c_uint8), ("b", ctypes.c_int16))


class Choice(ctypes.Union):
    _fields_ = (("word", ctypes.c_uint64), ("bytes", ctypes.c_char * 12))


class Bits(ctypes.Structure):
    _fields_ = (("low", ctypes.c_uint32, 3), ("high", ctypes.c_int32, 29), ("plain", ctypes.c_uint16))


class Record(ctypes.Structure):
    _anonymous_ = ("hidden",)
    _fields_ = (
        ("name", ctypes.c_char * 8), ("inner", Inner * 3), ("hidden", Choice), ("flag", ctypes.c_bool),
        ("ratio", ctypes.c_double), ("pointer", ctypes.c_void_p), ("rows", (ctypes.c_int32 * 2) * 4), ("bits", Bits),
    )  # fmt: skip


def offsets(ctype: Any) -> dict[str, int]:
    names = [field[0] for field in ctype._fields_]
    return {name: getattr(ctype, name).offset for name in names if not name.startswith(("__pad_", "__anon", "hidden"))}


@pytest.mark.parametrize("made", [Inner, Choice, Bits, Record])
def test_records_keep_their_layout(made: Any) -> None:
    data, (id, other) = btf_of(made, ctypes.c_uint32)
    btf = Btf(data)
    read = ctypes_type(btf, id, bcc_layout=False)
    assert (ctypes.sizeof(read), read.__name__) == (ctypes.sizeof(made), made.__name__)
    assert offsets(read) == offsets(made)
    assert ctypes_type(btf, other) is ctypes.c_uint


def test_bit_fields_and_anonymous_members() -> None:
    data, (id,) = btf_of(Record)
    btf = Btf(data)
    read = ctypes_type(btf, id)
    record = read.from_buffer_copy(bytes(Record(b"name", flag=True, ratio=0.5, word=7, bits=Bits(5, -2, 9))))
    assert (record.name, record.flag, record.ratio, record.word) == (b"name", True, 0.5, 7)
    assert (record.bits.low, record.bits.high, record.bits.plain) == (5, -2, 9)
    found = btf.type(id)
    assert isinstance(found, Struct)
    assert [member.name for member in found.members][2] == ""


def test_what_btf_has_no_word_for_is_refused() -> None:
    with pytest.raises(ObjectError, match="py_object has no counterpart in BTF"):
        btf_of(ctypes.py_object)
