"""Maps that two BPF objects share: public and extern tables, maps given to another object, pins."""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import subprocess
import sys
import textwrap

import pytest
from support import ROOT, open_files
from waiting import PATIENCE

import skep
from skep import BPF
from skep.engine.kernel import syscall
from skep.errors import CompileError, MapError, MapKeyError
from skep.llvm_server import release

OWNER = 'BPF_TABLE_PUBLIC("array", int, int, shared, 10);'
USER = """
BPF_TABLE("extern", int, int, shared, 10);
SEC("raw_tp") int program(void *ctx) { int key = 2, value = 5; shared.update(&key, &value); shared.increment(3); return 0; }
"""
COUNTER = """
BPF_HASH(counts, u32, u64, 64);
SEC("raw_tp") int program(void *ctx) { u32 key = KEY; counts.increment(key); return 0; }
"""


def kept_files() -> dict[int, str]:
    """What is open, without the compiler's kept process."""
    release()
    return open_files()


def run(bpf: BPF) -> None:
    bpf.load_func("program", BPF.RAW_TRACEPOINT).handle.test_run()


@pytest.mark.kernel
def test_a_public_table_is_another_objects_extern_table() -> None:
    before = kept_files()
    with BPF(text=OWNER) as owner:
        with BPF(text=USER) as user:
            theirs = user[b"shared"]
            theirs[ctypes.c_int(1)] = ctypes.c_int(10)
            assert len(theirs) == 10
            run(user)
        ours = owner[b"shared"]
        assert [ours[i].value for i in range(4)] == [0, 10, 5, 1]
        assert len(ours) == 10
    assert kept_files() == before


@pytest.mark.kernel
@pytest.mark.parametrize("owner_text", [OWNER, OWNER.replace("PUBLIC", "SHARED"), OWNER.replace("10);", "12);")])
def test_the_owner_says_what_the_table_is(owner_text: str) -> None:
    with BPF(text=owner_text) as owner, BPF(text=USER) as user:
        assert user["shared"].max_entries == owner["shared"].max_entries
        owner.cleanup()
        user["shared"][1] = 3  # the map lives while somebody has it
        run(user)
        assert user["shared"][2].value == 5


@pytest.mark.kernel
def test_a_table_is_public_while_its_owner_lives() -> None:
    with pytest.raises(MapError, match=r"map 'shared' is of another BPF object .* no object of this process has a public map"):
        BPF(text=USER)
    with BPF(text=OWNER) as first, BPF(text=OWNER) as second:
        with BPF(text=USER) as user:
            user["shared"][0] = 1
        assert (first["shared"][0].value, second["shared"][0].value) == (1, 0)
        first.cleanup()
        with BPF(text=USER) as user:
            user["shared"][0] = 2
        assert second["shared"][0].value == 2
    with pytest.raises(MapError, match="no object of this process has a public map"):
        BPF(text=USER)


@pytest.mark.kernel
def test_a_failure_of_any_step_leaves_no_map_open_or_public(monkeypatch: pytest.MonkeyPatch) -> None:
    text = OWNER + OWNER.replace("shared", "second") + "BPF_HASH(third); u64 variable;"
    compiled = skep.compile(text)
    real = syscall.bpf
    before = kept_files()
    left = 0

    def bpf(command: int, attr: syscall.Buffer) -> int:
        nonlocal left
        left -= 1
        if not left:
            raise KeyboardInterrupt
        return real(command, attr)

    monkeypatch.setattr(syscall, "bpf", bpf)
    steps = 0
    done = False
    while not done:
        steps += 1
        left = steps
        try:
            BPF(object=compiled, globals={"variable": 1}).cleanup()
            done = True
        except KeyboardInterrupt:
            gc.collect()
            assert kept_files() == before
            left = 0
            with pytest.raises(MapError, match="no object of this process has a public map"):
                BPF(text=USER)
    assert steps > 4
    assert kept_files() == before


@pytest.mark.kernel
def test_an_extern_table_of_other_sizes_is_refused() -> None:
    with BPF(text=OWNER), pytest.raises(MapError, match="map 'shared' cannot be map 'shared': value_size is 4, wanted 8"):
        BPF(text='BPF_TABLE("extern", int, u64, shared, 10);')


@pytest.mark.kernel
def test_queues_and_buffers_can_be_public() -> None:
    queue = 'BPF_QUEUESTACK_PUBLIC("queue", waiting, u64, 4);'
    user = """
    BPF_QUEUESTACK("extern", waiting, u64, 4);
    SEC("raw_tp") int program(void *ctx) { u64 value = 8; waiting.push(&value); return 0; }
    """
    with BPF(text=queue) as owner, BPF(text=user) as other:
        run(other)
        assert owner._maps["waiting"].lookup(b"") == (8).to_bytes(8, "little")


def test_an_extern_table_is_known_by_name_only() -> None:
    spec = skep.compile(USER).maps["shared"]
    assert (spec.type, spec.sharing, spec.key_size, spec.value_size) == (0, "extern", 4, 4)
    assert skep.compile(OWNER).maps["shared"].sharing == "public"
    with pytest.raises(CompileError, match="a table of another BPF object cannot be made public here"):
        skep.compile('BPF_TABLE_PUBLIC("extern", int, int, shared, 10);')
    with pytest.raises(CompileError, match="map 'm': the definition says no type"):
        skep.compile('struct { __uint(max_entries, 1); } m SEC(".maps"); int f(void *c) { return bpf_map_delete_elem(&m, c); }')


@pytest.mark.kernel
def test_two_programs_count_in_one_map() -> None:
    with BPF(text=COUNTER, cflags=["-DKEY=1"]) as first:
        with BPF(text=COUNTER, cflags=["-DKEY=2"], maps={"counts": first["counts"]}) as second:
            run(first)
            run(second)
            run(second)
            assert {key.value: value.value for key, value in second["counts"].items()} == {1: 1, 2: 2}
        assert first["counts"][ctypes.c_uint32(2)].value == 2


@pytest.mark.kernel
def test_two_programs_share_global_variables() -> None:
    text = 'u64 hits; const volatile int step = 1; SEC("raw_tp") int program(void *ctx) { hits += step; return 0; }'
    with BPF(text=text) as first, BPF(text=text, maps={".bss": first[".bss"]}, globals={"step": 10}) as second:
        run(first)
        run(second)
        assert (first.globals["hits"], second.globals["hits"]) == (11, 11)
        with BPF(text=text, maps={".rodata": second[".rodata"]}) as third:
            run(third)
            assert third.globals["hits"] == 10
            with pytest.raises(MapError, match="constant since the first program was loaded"):
                third.globals["step"] = 3


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("BPF_LRU_HASH(m, u32, u64, 64)", "type is lru_hash, wanted hash"),
        ("BPF_HASH(m, u64, u64, 64)", "key_size is 8, wanted 4"),
        ("BPF_HASH(m, u32, u32, 32)", "value_size is 4, wanted 8, max_entries is 32, wanted 64"),
        ('BPF_F_TABLE("hash", u32, u64, m, 64, BPF_F_NO_PREALLOC)', "flags is 0x1, wanted 0x0"),
    ],
)
def test_a_map_that_is_not_alike_is_refused(other: str, message: str) -> None:
    with BPF(text=other + ";") as owner, pytest.raises(MapError, match=f"map 'm' cannot be map 'counts': {message}"):
        BPF(text=COUNTER, cflags=["-DKEY=1"], maps={"counts": owner["m"]})


@pytest.mark.kernel
def test_what_is_no_map_is_refused() -> None:
    compiled = skep.compile(COUNTER, cflags=["-DKEY=1"])
    with pytest.raises(MapKeyError, match=r"there is no map 'count'; did you mean 'counts'\?"):
        BPF(object=compiled, maps={"count": None})
    with pytest.raises(MapError, match=r"give the map of another BPF object, such as other\['counts'\]"):
        BPF(object=compiled, maps={"counts": 5})
    with BPF(object=compiled) as owner:
        counts = owner["counts"]
    with pytest.raises(MapError, match="map 'counts' cannot be shared: it is closed"):
        BPF(object=compiled, maps={"counts": counts})


def in_a_bpffs(folder: str, script: str) -> str:
    """What a script prints that sees a new bpffs at `folder`, in a mount namespace of its own."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare (util-linux)")
    result = subprocess.run(
        [
            "unshare",
            "-m",
            "sh",
            "-c",
            'mount -t bpf bpf "$0" && exec "$@"',
            folder,
            sys.executable,
            "-c",
            textwrap.dedent(script),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "FOLDER": folder},
        text=True,
        capture_output=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.kernel
def test_pinned_tables_are_shared_by_path(tmp_path) -> None:
    said = in_a_bpffs(
        str(tmp_path),
        """
        import os, subprocess, sys
        from skep import BPF
        path = os.environ["FOLDER"] + "/pinned"
        text = 'BPF_TABLE_PINNED("hash", u32, u64, pinned, 16, "%s");' % path
        with BPF(text=text) as first:
            first["pinned"][3] = 33
        assert os.path.exists(path)
        subprocess.run([sys.executable, "-c", "from skep import BPF; print(BPF(text=%r)['pinned'][3].value)" % text], check=True)
        for other in ('u32, u32, pinned, 16', 'u32, u64, pinned, 17'):
            try:
                BPF(text='BPF_TABLE_PINNED("hash", %s, "%s");' % (other, path))
            except Exception as error:
                print(error)
        with BPF(text='BPF_HASH(mine, u32, u64, 16);', maps={"mine": BPF(text=text)["pinned"]}) as other:
            print(other["mine"][3].value)
        """,
    )
    lines = said.splitlines()
    assert lines[0] == lines[-1] == "33"
    assert "is not 'pinned': value_size is 8, wanted 4; remove the pin, or fit the map" in lines[1]
    assert "max_entries is 16, wanted 17" in lines[2]


@pytest.mark.kernel
def test_a_map_that_libbpf_pins_by_name(tmp_path) -> None:
    if not os.path.isdir("/sys/fs/bpf"):
        pytest.skip("there is no /sys/fs/bpf")
    said = in_a_bpffs(
        "/sys/fs/bpf",
        """
        import os
        from skep import BPF
        text = '''struct { __uint(type, BPF_MAP_TYPE_ARRAY); __type(key, u32); __type(value, u64); __uint(max_entries, 2);
            __uint(pinning, LIBBPF_PIN_BY_NAME); } by_name SEC(".maps");'''
        with BPF(text=text) as first:
            first["by_name"][1] = 7
        with BPF(text=text) as second:
            print(os.path.exists("/sys/fs/bpf/by_name"), second["by_name"][1].value)
        """,
    )
    assert said == "True 7\n"


@pytest.mark.kernel
def test_a_folder_that_is_no_bpffs_is_told(tmp_path) -> None:
    text = 'BPF_TABLE_PINNED("hash", u32, u64, pinned, 16, "%s");'
    with pytest.raises(MapError, match=r"cannot pin map 'pinned' at .*: EPERM .*; is this folder in a bpffs\? \(mount -t bpf"):
        BPF(text=text % (tmp_path / "pinned"))
    with pytest.raises(MapError, match=r"cannot pin map 'pinned' at .*: ENOENT .*; the folder does not exist"):
        BPF(text=text % (tmp_path / "nowhere" / "pinned"))
    (tmp_path / "file").write_text("")
    with pytest.raises(MapError, match=r"cannot open the pinned map 'pinned' at .*"):
        BPF(text=text % (tmp_path / "file"))
