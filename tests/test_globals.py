"""Global variables from Python: read, written before and after the programs load, in place, and as numpy arrays."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess

import numpy
import pytest
from interrupting import loses_nothing
from support import open_files

import skep
from skep import BPF
from skep.errors import MapError, MapKeyError, SkepError
from skep.llvm_server import release
from skep.maps import globals as globals_module

KERNEL = [pytest.param("kernel", marks=pytest.mark.kernel)]


@pytest.fixture(autouse=True, params=["user", *KERNEL])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKEP_ENGINE", request.param)


# Programs that see this process: the user engine cannot trace it.
kernel_only = pytest.mark.parametrize("engine", KERNEL, indirect=True)

TEXT = r"""
struct point { int x; u16 y; char name[6]; struct { u8 a; u8 b[2]; } inside; u32 low : 3; u32 high : 29; };
const volatile int wanted = 7;
const volatile char prefix[8] = "abc";
const volatile struct point config = {1, 2, "z"};
static const volatile u64 limit = 3;
const int fixed = 9;
u64 hits;
int low = -5;
static u32 quiet = 9;
struct point table[4] = {{1, 2, "x"}};
u32 numbers[2][3];
bool flag;
enum choice { A, B } choice = B;
struct point own SEC(".data.own") = {4};

SEC("raw_tp") int program(void *ctx)
{
    static u64 count;
    count += 1;
    hits += limit;
    low--;
    quiet += 1;
    flag = !flag;
    own.x++;
    choice = A;
    table[1].x = wanted;
    table[2].y = config.x + config.inside.b[1] + prefix[0];
    numbers[1][2]++;
    return 0;
}
"""


@pytest.fixture(scope="module")
def compiled():
    return skep.compile(TEXT)


@pytest.fixture
def bpf(compiled):
    with BPF(object=compiled) as bpf:
        yield bpf


def run(bpf: BPF) -> None:
    bpf.load_func("program", BPF.RAW_TRACEPOINT).handle.test_run()


def test_names_are_those_of_the_text(bpf: BPF) -> None:
    assert sorted(bpf.globals) == [
        "choice", "config", "fixed", "flag", "hits", "limit", "low", "numbers", "own", "prefix", "program.count", "quiet",
        "table", "wanted",
    ]  # fmt: skip
    assert "hits" in bpf.globals
    assert b"hits" in bpf.globals
    assert "hit" not in bpf.globals
    assert 3 not in bpf.globals


def test_numbers_are_python_values_that_programs_see(bpf: BPF) -> None:
    values = bpf.globals
    assert [values[name] for name in ("hits", "low", "quiet", "flag", "choice", "fixed")] == [0, -5, 9, False, 1, 9]
    assert type(values["hits"]) is int
    assert type(values["flag"]) is bool
    values["hits"] = 100
    values["hits"] += 5
    values["low"] = -(2**31) + 1
    values[b"flag"] = True
    values["program.count"] = 2**64 - 1
    run(bpf)
    assert [values[name] for name in ("hits", "low", "quiet", "flag", "choice", "program.count")] == [108, -(2**31), 10, 0, 0, 0]


def test_parts_of_arrays_and_structs_are_written_in_place(bpf: BPF) -> None:
    table, numbers = bpf.globals["table"], bpf.globals["numbers"]
    assert (table[0].x, table[0].y, table[0].name) == (1, 2, b"x")
    bpf.globals["numbers"][1][2] = 41
    bpf.globals["own"] = (7, 8, b"own")
    bpf.globals["table"][3].inside.b[1] = 6
    run(bpf)
    assert numbers[1][2] == 42
    assert bpf.globals["own"].x == 8
    assert bpf.globals["own"].name == b"own"
    assert table[1].x == 7
    assert table[3].inside.b[1] == 6


def test_values_given_at_construction_are_there_before_anything_runs(compiled) -> None:
    values = {"wanted": 12, "prefix": "\1", "limit": 40, "hits": 2, "config": (5, 0, b"", (0, (0, 3)))}
    with BPF(object=compiled, globals=values) as bpf:
        run(bpf)
        assert bpf.globals["hits"] == 42
        assert bpf.globals["table"][1].x == 12
        assert bpf.globals["table"][2].y == 5 + 3 + 1
        assert bpf.globals["prefix"].value == b"\1"
    with BPF(object=compiled) as again:  # the compiled object is as it was
        assert again.globals["limit"] == 3


@kernel_only
def test_a_program_that_is_attached_at_construction_runs_with_its_configuration() -> None:
    text = """
    const volatile int pid; u64 calls;
    TRACEPOINT_PROBE(raw_syscalls, sys_enter) { if (bpf_get_current_pid_tgid() >> 32 == pid) calls++; return 0; }
    """
    with BPF(text=text, globals={"pid": os.getpid()}) as bpf:
        before = bpf.globals["calls"]
        os.getppid()
        assert bpf.globals["calls"] > before
        with pytest.raises(MapError, match=r"BPF\(\.\.\., globals=\{'pid': \.\.\.\}\) or before the first program loads"):
            bpf.globals["pid"] = 1


def test_constants_are_written_until_the_first_program_loads(bpf: BPF) -> None:
    config = bpf.globals["config"]
    bpf.globals["wanted"] = 30
    config.x = 70
    config.inside.b[1] = 2
    config.high = 5
    bpf.globals["prefix"][0] = b"\3"
    assert bpf.globals["config"].x == 70
    assert config.inside.b[1] == 2
    run(bpf)
    assert bpf.globals["table"][1].x == 30
    assert bpf.globals["table"][2].y == 75
    for write in (
        lambda: bpf.globals.update(wanted=1),
        lambda: setattr(config, "x", 1),
        lambda: setattr(config, "high", 1),
        lambda: setattr(config.inside, "a", 1),
        lambda: config.inside.b.__setitem__(0, 1),
        lambda: setattr(bpf.globals["prefix"], "value", b"x"),
    ):
        with pytest.raises(MapError, match=r"is in .rodata, which is constant since the first program was loaded") as refused:
            write()
        assert refused.value.errno == errno.EPERM
    assert (config.x, config.high, bpf.globals["wanted"], bpf.globals["prefix"].value) == (70, 5, 30, b"\3bc")


def test_constants_are_known_to_be_so_when_the_view_comes_later(bpf: BPF) -> None:
    run(bpf)
    with pytest.raises(MapError, match="constant since the first program was loaded"):
        bpf.globals["wanted"] = 1
    assert bpf.globals["wanted"] == 7


def test_the_verifier_knows_the_constants() -> None:
    text = """
    const volatile bool broken = 1;
    SEC("raw_tp") int program(void *ctx) { if (broken) return *(volatile int *)0; return 0; }
    """
    with BPF(text=text, globals={"broken": False}) as bpf:
        bpf.load_func("program", BPF.RAW_TRACEPOINT)


def test_what_the_compiler_has_put_into_the_code_is_not_set(bpf: BPF) -> None:
    with pytest.raises(
        MapError, match="'fixed' is const, so the compiler has put its value into the code; declare it const volatile"
    ):
        bpf.globals["fixed"] = 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("low", 1 << 40, "1099511627776 does not fit into variable 'low': it has 4 bytes"),
        ("hits", "text", "variable 'hits' is c_ulong .8 bytes.; got 4 bytes"),
        ("hits", 1.5, "variable 'hits' is c_ulong .8 bytes.; got float 1.5"),
        ("flag", 2, "variable 'flag' is c_bool .1 bytes.; got int 2"),
        ("prefix", "123456789", "variable 'prefix' is c_char_Array_8 .8 bytes.; got 9 bytes"),
        ("own", 5, "variable 'own' is point .20 bytes.; got int 5; give a point, a tuple or 20 bytes"),
        ("numbers", ((1, 2, 3),) * 3, "variable 'numbers' is c_uint_Array_3_Array_2"),
    ],
)
def test_what_does_not_fit_is_told(bpf: BPF, name: str, value: object, message: str) -> None:
    with pytest.raises(MapError, match=message):
        bpf.globals[name] = value


def test_names_that_are_not_there(bpf: BPF, compiled) -> None:
    with pytest.raises(MapKeyError, match=r"there is no global variable 'hitts'; did you mean 'hits'\?"):
        bpf.globals["hitts"]
    with pytest.raises(MapKeyError, match="there is no global variable 'pid'"):
        BPF(object=compiled, globals={"pid": 1})
    with pytest.raises(MapError, match="cannot be removed"):
        del bpf.globals["hits"]
    with pytest.raises(SkepError, match="a variable's name is str or bytes, not int 1"):
        bpf.globals[1]
    with BPF(text="BPF_HASH(m); int f(void *ctx) { return 0; }") as none:
        assert dict(none.globals) == {}
        with pytest.raises(MapKeyError, match="there is no global variable 'x'; there are none"):
            none.globals["x"] = 1


def test_variables_of_one_name_go_by_their_section() -> None:
    text = """
    static int same SEC(".data.a") = 1;
    int f_1(void *ctx) { static int n = 2; { static int n = 3; n++; } return n++ + same; }
    """
    with BPF(text=text) as bpf:
        assert "same" in bpf.globals
        names = [name for name in bpf.globals if name.startswith("f_1.n@")]
        assert sorted(bpf.globals[name] for name in names) == [2, 3]
        with pytest.raises(MapKeyError, match=r"2 variables have the name 'f_1.n'; say which one: f_1.n@"):
            bpf.globals["f_1.n"]


def test_the_section_is_an_array_of_one_struct(bpf: BPF) -> None:
    section = bpf[".rodata"]
    assert len(section) == 1
    leaf = section[0]
    assert (leaf.wanted, leaf.prefix, leaf.config.name) == (7, b"abc", b"z")
    leaf.wanted = 44
    section[0] = leaf
    assert bpf.globals["wanted"] == 44
    bpf.globals["wanted"] = 45
    assert bpf["anything.rodata"][0].wanted == 45
    assert bpf[".data.own"][0].own.x == 4
    run(bpf)
    with pytest.raises(MapError, match="frozen"):
        section[0] = leaf


def test_numpy_arrays_lie_in_the_programs_memory(bpf: BPF) -> None:
    numbers, table, hits = (bpf.globals.to_numpy(name) for name in ("numbers", "table", "hits"))
    assert (numbers.shape, numbers.dtype, table.shape, hits.shape) == ((2, 3), "u4", (4,), ())
    numbers[1] = 9
    table["y"][3] = 77
    hits[...] = 1
    run(bpf)
    assert numbers.tolist() == [[0, 0, 0], [9, 9, 10]]
    assert list(table["x"]) == [1, 7, 0, 0]
    assert bpf.globals["table"][3].y == 77
    assert hits == 4
    bpf.globals["numbers"] = numpy.arange(6, dtype="u4").reshape(2, 3)
    assert numbers.tolist() == [[0, 1, 2], [3, 4, 5]]
    constant = bpf.globals.to_numpy("config")
    assert constant["name"] == b"z"
    assert not constant.flags.writeable


def test_what_outlives_the_object_keeps_the_last_values(compiled) -> None:
    release()  # the compiler's kept process has fds of its own
    before = open_files()
    bpf = BPF(object=compiled)
    table, config, numbers = bpf.globals["table"], bpf.globals["config"], bpf.globals.to_numpy("numbers")
    run(bpf)
    values = bpf.globals
    bpf.cleanup()
    assert (table[1].x, config.x, int(numbers[1][2])) == (7, 1, 1)
    numbers[0] = 5  # memory of this process
    for gone in (lambda: bpf.globals, lambda: values["hits"], lambda: setattr(config, "x", 1)):
        with pytest.raises(SkepError):
            gone()
    del table, numbers
    assert open_files() == before


def test_a_child_sees_what_the_parent_writes_and_its_end_takes_nothing_away(bpf: BPF) -> None:
    values = bpf.globals
    values["hits"] = 1
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.read(read, 1)
            values["low"] = values["hits"]
            bpf.cleanup()
        finally:
            os._exit(0)
    values["hits"] = 2
    os.write(write, b"x")
    assert os.waitpid(child, 0)[1] == 0
    os.close(read)
    os.close(write)
    assert values["low"] == 2
    values["low"] = 3
    run(bpf)
    assert values["low"] == 2


def test_without_shared_memory_reads_and_writes_go_through_the_map(compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(globals_module.Section, "_map", lambda _self, _handle: None)  # a kernel before 5.5
    with BPF(object=compiled) as bpf:
        table = bpf.globals["table"]
        bpf.globals["hits"] = 7
        bpf.globals["numbers"][1][2] = 8
        table[3].y = 9
        run(bpf)
        assert (bpf.globals["hits"], bpf.globals["numbers"][1][2], table[3].y, table[1].x) == (10, 9, 9, 7)
        assert not bpf.globals.to_numpy("numbers").flags.writeable


def test_objects_of_clang_and_their_static_variables(tmp_path) -> None:
    clang = "/usr/bin/clang-19"
    if not os.path.exists(clang):
        pytest.skip("clang-19 is not installed")
    source = tmp_path / "a.c"
    source.write_text("""
    #define SEC(n) __attribute__((section(n), used))
    char _license[] SEC("license") = "GPL";
    const volatile int wanted = 1;
    static volatile int seen = 3;
    static struct { long a; long b; } split;
    unsigned long long hits;
    SEC("raw_tp") int program(void *ctx) {
        static volatile long count; count++; hits += wanted; seen++; split.a++; return split.b++ > 5; }
    """)
    subprocess.run([clang, "-O2", "-g", "-target", "bpf", "-c", source, "-o", tmp_path / "a.o"], check=True)
    with BPF(object=skep.load_object(tmp_path / "a.o"), globals={"wanted": 5}) as bpf:
        run(bpf)
        assert (bpf.globals["hits"], bpf.globals["seen"], bpf.globals["program.count"]) == (5, 4, 1)
        if "split" not in bpf.globals:
            with pytest.raises(MapKeyError, match="the compiler took it apart; declare it volatile"):
                bpf.globals["split"]


def test_ctypes_objects_can_be_given(bpf: BPF) -> None:
    bpf.globals["hits"] = ctypes.c_uint64(5)
    bpf.globals["table"] = bpf.globals["table"]
    bpf.globals["own"] = bpf.globals["config"]
    assert bpf.globals["hits"] == 5
    assert bpf.globals["own"].name == b"z"


def test_static_variables_stay_whole_and_are_read() -> None:
    text = """
    static struct { long a; u8 b[4]; } whole = {1, {2}};
    static int never_written_in_c = 1;
    u64 sum;
    SEC("raw_tp") int program(void *ctx) {
        static int step = 1;
        whole.a++;
        sum += never_written_in_c + step;
        return 0;
    }
    """
    with BPF(text=text, globals={"never_written_in_c": 10, "program.step": 5, "whole": (7, (1,))}) as bpf:
        run(bpf)
        assert (bpf.globals["sum"], bpf.globals["whole"].a) == (15, 8)


@kernel_only
def test_a_program_for_another_hook_uses_the_same_variables() -> None:
    text = """
    u64 calls; static u64 result = 5;
    int first(struct pt_regs *ctx) { calls++; return 0; }
    int second(struct pt_regs *ctx) { static int n = 1; calls++; result = PT_REGS_PARM1(ctx); return n++; }
    """
    with BPF(text=text) as bpf:
        bpf.attach_kprobe(event=bpf.get_syscall_fnname("umask"), fn_name="second")
        os.umask(os.umask(0o22))
        assert bpf.globals["calls"] >= 2
        assert bpf.globals["second.n"] == 1 + bpf.globals["calls"]


def test_variables_at_other_places_are_not_mixed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "u64 calls = %d; int first(struct pt_regs *ctx) { return PT_REGS_PARM1(ctx) + calls; }"
    with BPF(text=text % 1) as bpf:
        other = skep.compile(text % 2)
        monkeypatch.setattr("skep.build.build", lambda *_, **options: other)
        with pytest.raises(SkepError, match=r"program 'first' cannot be attached as .* its global variables are at other places"):
            bpf.load_func("first", BPF.TRACEPOINT)


@pytest.mark.parametrize("option", ["globals", "maps"])
def test_what_is_no_dict_is_refused(compiled, option: str) -> None:
    with pytest.raises(SkepError, match=rf"BPF\({option}=5\): {option} is a dict by name, not int"):
        BPF(object=compiled, **{option: 5})


def test_interrupts_at_any_moment_lose_nothing(compiled) -> None:
    def work(_: int, opened: list[BPF]) -> None:
        bpf = BPF(object=compiled, globals={"wanted": 3, "hits": 1})
        opened.append(bpf)
        bpf.globals["table"][1].y = 5
        run(bpf)
        bpf.globals.to_numpy("numbers")

    loses_nothing(work, rounds=60, longest=0.006)
