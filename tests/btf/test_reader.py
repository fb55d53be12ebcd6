"""The BTF reader against the running kernel's own BTF, with bpftool as the second opinion."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from skep.btf import Btf, kernel_btf
from skep.btf import types as bt
from skep.errors import ObjectError, UnsupportedError

VMLINUX = Path("/sys/kernel/btf/vmlinux")
pytestmark = pytest.mark.skipif(not VMLINUX.exists(), reason="this kernel has no BTF (CONFIG_DEBUG_INFO_BTF)")


def raw_dump(*words: str) -> list[str]:
    if shutil.which("bpftool") is None:
        pytest.skip("bpftool is not installed")
    command = ["bpftool", "btf", "dump", "file", str(VMLINUX), "format", "raw", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def test_every_type_has_the_id_kind_and_name_that_bpftool_gives_it() -> None:
    kinds = {"enum64": "enum"}
    btf = kernel_btf()
    ids = 0
    for line in raw_dump():
        if not line.startswith("["):
            continue
        words = line.split(maxsplit=2)
        found = btf.type(int(words[0][1:-1]))
        kind = words[1].lower()
        assert found.kind == kinds.get(kind, kind)
        assert words[2].split("'")[1] == (found.name or "(anon)")
        ids += 1
    assert ids == btf.count - 1


def test_struct_members_have_their_offsets() -> None:
    btf = kernel_btf()
    id = btf.find("task_struct", "struct")
    assert id is not None
    found = btf.type(id)
    assert isinstance(found, bt.Struct)
    expected, inside = [], False
    for line in raw_dump():
        if line.startswith(f"[{id}] "):
            inside = True
        elif inside and line.startswith("["):
            break
        elif inside:
            name, fields = line.strip().split("' ", 1)
            values = dict(word.split("=") for word in fields.split())
            row = (name[1:], int(values["type_id"]), int(values["bits_offset"]), int(values.get("bitfield_size", 0)))
            expected.append((row[0] if row[0] != "(anon)" else "", *row[1:]))
    assert [(m.name, m.type_id, m.bit_offset, m.bit_size) for m in found.members] == expected


def test_find_is_by_whole_name_and_kind() -> None:
    btf = kernel_btf()
    assert btf.find("task_struc", "struct") is None
    assert btf.find("ask_struct", "struct") is None
    assert btf.find("task_struct", "union") is None
    assert btf.find("", "struct") is None
    pid = btf.find("pid_t", "typedef")
    assert pid is not None
    assert btf.type(btf.strip(pid)).name == "int"
    function = btf.type(btf.find("schedule", "func") or 0)
    assert isinstance(function, bt.Func)
    assert isinstance(btf.type(function.target), bt.FuncProto)


def test_every_named_struct_is_found_by_name() -> None:
    btf = kernel_btf()
    first: dict[str, int] = {}
    for id in btf.ids("struct"):
        first.setdefault(btf.type(id).name, id)
    names = [name for name in first if name][::40]
    assert len(names) > 100
    assert {name: btf.find(name, "struct") for name in names} == {name: first[name] for name in names}


def test_enumerators_are_found_with_their_values() -> None:
    btf = kernel_btf()
    value, id = btf.find_enumerator("BPF_MAP_TYPE_RINGBUF") or (None, 0)
    assert value == 27
    assert btf.type(id).name == "bpf_map_type"
    # An ENUM64, and one that only an ENUM64 can hold.
    value, id = btf.find_enumerator("BPF_F_CTXLEN_MASK") or (None, 0)
    assert value == 0xFFFFF << 32
    assert btf.find_enumerator("BPF_F_CTXLEN_MAS") is None
    assert btf.find_enumerator("task_struct") is None


def test_sizes_and_alignments() -> None:
    btf = kernel_btf()
    sizes = {"__u64": (8, 8), "u32": (4, 4), "sockaddr_in": (16, 4), "list_head": (16, 8), "bpf_perf_event_data": (184, 8)}
    for name, expected in sizes.items():
        id = btf.find(name, "struct") or btf.find(name, "typedef")
        assert id is not None, name
        assert (btf.size_of(id), btf.align_of(id)) == expected, name
    with pytest.raises(ObjectError, match="has no size"):
        btf.size_of(0)


def test_candidates_hold_near_names() -> None:
    names = set(kernel_btf().name_candidates("struct"))
    assert {"task_struct", "file"} <= names
    assert "" not in names


def test_an_index_gives_the_same_types_as_the_walk() -> None:
    data = VMLINUX.read_bytes()
    walked = Btf(data)
    indexed = Btf(data, index=walked.index())
    assert indexed.count == walked.count
    assert len(walked.index()) < 20_000
    for id in range(1, walked.count, 997):
        assert repr(indexed.type(id)) == repr(walked.type(id))
    assert indexed.find("task_struct", "struct") == walked.find("task_struct", "struct")


@pytest.mark.parametrize("index", [b"x", b"12345678", b"\0" * 8, b"\1" * 400])
def test_a_foreign_index_is_not_used(index: bytes) -> None:
    data = VMLINUX.read_bytes()
    assert Btf(data, index=index).find("task_struct", "struct") == kernel_btf().find("task_struct", "struct")


def test_a_file_instead_of_the_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "vmlinux.btf"
    copy.write_bytes(VMLINUX.read_bytes())
    monkeypatch.setenv("SKEP_BTF", str(copy))
    other = kernel_btf()
    assert other is kernel_btf()
    assert other.find("task_struct", "struct")
    monkeypatch.delenv("SKEP_BTF")
    assert kernel_btf() is not other


def test_a_missing_file_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKEP_BTF", "/nonexistent/btf")
    with pytest.raises(UnsupportedError, match="SKEP_BTF=/nonexistent/btf: no such file"):
        kernel_btf()


@pytest.mark.parametrize("size", [0, 10, 23, 24, 1000, 3_189_892, 5_000_000])
def test_truncated_btf_is_refused(size: int) -> None:
    with pytest.raises(ObjectError, match="BTF"):
        Btf(VMLINUX.read_bytes()[:size])


def test_types_that_contain_themselves_are_refused() -> None:
    import struct

    strings = b"\0loop\0"
    records = struct.pack("<III", 1, 8 << 24, 1)  # typedef loop loop;
    records += struct.pack("<IIIIII", 0, 3 << 24, 0, 2, 2, 4)  # an array of itself
    btf = Btf(struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(records), len(records), len(strings)) + records + strings)
    with pytest.raises(ObjectError, match="refers to itself"):
        btf.strip(1)
    with pytest.raises(ObjectError, match="contains itself"):
        btf.size_of(2)
    with pytest.raises(ObjectError, match="contains itself"):
        btf.align_of(2)


def test_split_btf_continues_from_its_base() -> None:
    import struct

    base = kernel_btf()
    int_id = base.find("int", "int")
    own = b"\0skep_module_struct\0field\0"
    first_string = base.string_size
    records = struct.pack("<III", first_string + 1, 4 << 24 | 1, 4)
    records += struct.pack("<III", first_string + 20, int_id, 0)
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(records), len(records), len(own))
    split = Btf(header + records + own, base)
    assert split.find("skep_module_struct", "struct") == base.count
    found = split.type(base.count)
    assert isinstance(found, bt.Struct)
    assert [member.name for member in found.members] == ["field"]
    assert split.find("task_struct", "struct") == base.find("task_struct", "struct")
    assert split.type(found.members[0].type_id).name == "int"
