"""ctypes types against the BTF that they were made of, and against what BCC's users expect of them."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from skep.btf import Btf, ctypes_type, kernel_btf
from skep.btf import types as bt
from skep.errors import ObjectError
from skep.object import read_object

SOURCE = """
typedef unsigned char u8; typedef unsigned long long u64;
enum color { RED, GREEN };
struct inner { int a; char b; };
struct plain { u8 small; u64 large; char comm[16]; u8 raw[6]; _Bool yes; enum color color; void *pointer; double d; };
struct nested { int id; struct { int x; union { int y; char z[4]; }; }; struct inner many[2][3]; } ;
struct bits { unsigned int a : 3; unsigned int b : 7; int c : 5; u64 big : 40; int after; };
struct __attribute__((packed)) tight { char c; u64 v; unsigned int f : 4; unsigned int g : 20; short tail; };
struct wide { __int128 v; unsigned __int128 u; };
typedef struct { int p; } named_by_typedef;
struct plain plain; struct nested nested; struct bits bits; struct tight tight; struct wide wide; named_by_typedef named;
"""


@pytest.fixture(scope="module")
def btf(tmp_path_factory: pytest.TempPathFactory) -> Btf:
    clang = shutil.which("clang")
    if clang is None:
        pytest.skip("clang is not installed")
    folder = tmp_path_factory.mktemp("types")
    (folder / "types.c").write_text(SOURCE)
    subprocess.run([clang, "-target", "bpf", "-g", "-O2", "-c", "types.c", "-o", "types.o"], cwd=folder, check=True)
    found = read_object((folder / "types.o").read_bytes()).btf
    assert found is not None
    return found


def struct(btf: Btf, name: str, *, bcc_layout: bool = True) -> type:
    id = btf.find(name, "struct")
    assert id is not None
    return ctypes_type(btf, id, bcc_layout=bcc_layout)


@pytest.mark.skipif(not Path("/sys/kernel/btf/vmlinux").exists(), reason="this kernel has no BTF")
@pytest.mark.parametrize("bcc_layout", [True, False])
def test_kernel_structs_keep_every_offset(bcc_layout: bool) -> None:
    btf = kernel_btf()
    checked = members = 0
    for kind in ("struct", "union"):
        for id in list(btf.ids(kind))[::20]:
            found = btf.type(id)
            assert isinstance(found, bt.Struct)
            made = ctypes_type(btf, id, bcc_layout=bcc_layout)
            assert ctypes.sizeof(made) == found.size, found
            for member in found.members:
                if not member.name:
                    continue
                placed = getattr(made, member.name)
                if isinstance(placed, property):
                    assert member.bit_size
                elif member.bit_size:
                    assert placed.offset * 8 + (placed.size & 0xFFFF) == member.bit_offset, (found, member)
                else:
                    assert placed.offset * 8 == member.bit_offset, (found, member)
                members += 1
            checked += 1
    assert checked > 500
    assert members > 2000


def test_members_decode_as_in_bcc(btf: Btf) -> None:
    plain = struct(btf, "plain")
    assert plain.__name__ == "plain"
    assert [field[0] for field in plain._fields_] == [
        "small", "__pad_1", "large", "comm", "raw", "yes", "__pad_5", "color", "__pad_6", "pointer", "d",
    ]  # fmt: skip
    value = plain(small=7, large=1 << 63, comm=b"cat", yes=True, color=1, pointer=0xFFFF888000000000, d=1.5)
    again = plain.from_buffer_copy(bytes(value))
    assert again.comm == b"cat"
    assert (again.small, again.large, again.yes, again.color, again.pointer, again.d) == (
        7, 1 << 63, True, 1, 0xFFFF888000000000, 1.5,
    )  # fmt: skip
    assert type(plain.raw) is type(plain.comm)
    assert list(again.raw) == [0] * 6


def test_natural_layout_has_no_padding_members(btf: Btf) -> None:
    plain = struct(btf, "plain", bcc_layout=False)
    assert [field[0] for field in plain._fields_] == ["small", "large", "comm", "raw", "yes", "color", "pointer", "d"]


def test_anonymous_members_and_arrays_of_arrays(btf: Btf) -> None:
    nested = struct(btf, "nested")
    value = nested()
    value.y = 0x64636261
    assert value.z == b"abcd"
    value.many[1][2].a = 9
    assert int.from_bytes(bytes(value)[nested.many.offset + 5 * 8 :][:4], "little") == 9
    assert ctypes.sizeof(nested) == 4 + 8 + 6 * 8


def test_bit_fields_read_and_write_the_compilers_bits(btf: Btf) -> None:
    bits = struct(btf, "bits")
    value = bits()
    value.a, value.b, value.c, value.big, value.after = 5, 100, -3, 0xABCDEF0123, 77
    raw = int.from_bytes(bytes(value), "little")
    found = btf.type(btf.find("bits", "struct") or 0)
    assert isinstance(found, bt.Struct)
    stored = {member.name: raw >> member.bit_offset & ((1 << (member.bit_size or 32)) - 1) for member in found.members}
    assert stored == {"a": 5, "b": 100, "c": -3 & 31, "big": 0xABCDEF0123, "after": 77}
    assert value.c == -3


def test_packed_structs_with_bit_fields(btf: Btf) -> None:
    tight = struct(btf, "tight")
    found = btf.type(btf.find("tight", "struct") or 0)
    assert isinstance(found, bt.Struct)
    assert ctypes.sizeof(tight) == found.size == 14
    value = tight()
    value.f, value.g, value.tail, value.v = 9, 0xABCDE, -2, 1 << 60
    raw = int.from_bytes(bytes(value), "little")
    offsets = {member.name: member.bit_offset for member in found.members}
    assert raw >> offsets["f"] & 15 == 9
    assert raw >> offsets["g"] & 0xFFFFF == 0xABCDE
    assert raw >> offsets["v"] & (1 << 64) - 1 == 1 << 60
    assert (value.f, value.g, value.tail) == (9, 0xABCDE, -2)


def test_wide_integers_are_two_halves(btf: Btf) -> None:
    wide = struct(btf, "wide")
    assert ctypes.sizeof(wide) == 32
    value = wide.from_buffer_copy((5 << 64 | 7).to_bytes(16, "little") + b"\xff" * 16)
    assert list(value.v) == [7, 5]
    assert list(value.u) == [2**64 - 1] * 2


def test_a_typedef_names_its_anonymous_struct(btf: Btf) -> None:
    id = btf.find("named_by_typedef", "typedef")
    assert id is not None
    made = ctypes_type(btf, id)
    assert made.__name__ == "named_by_typedef"
    assert made is ctypes_type(btf, id)


def test_void_is_refused(btf: Btf) -> None:
    with pytest.raises(ObjectError, match="no counterpart in ctypes"):
        ctypes_type(btf, 0)
