"""Assembly in C: what instructions come out (judged by clang-19 where it is), what they compute in the kernel, what is refused."""

# ruff: noqa: E501 - the C texts of its tables are on one line each

from __future__ import annotations

import random
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from skep.bytecode import disassemble
from skep.compiler import compile_source
from skep.errors import CompileError, VerifierError
from skep.object import read_object

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Program

SECTION = '__attribute__((section("raw_tp"))) '
TAIL = '\nchar _license[] __attribute__((section("license"))) = "GPL";\n'
CLOBBERS = '"r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "memory"'


def whole(body: str) -> str:
    return SECTION + "int f(unsigned long long *ctx) { unsigned long long a = ctx[0], b = ctx[1]; " + body + " }" + TAIL


def instructions(data: bytes) -> list[str]:
    listing = disassemble(read_object(data).programs["f"].instructions, {}, {})
    texts = [re.sub(r"^\d+: \(..\) ", "", line.strip()) for line in listing]
    texts = [re.sub(r"goto pc", "goto ", re.sub(r"(\(r\d+ [+-])(\d)", r"\1 \2", text)) for text in texts]
    return [re.sub(r"0x[0-9a-f]+", lambda m: str(int(m[0], 16)), text) for text in texts]


# C: the instructions, and whether clang gives the same
ROWS: list[tuple[str, str, bool]] = [
    ('asm volatile("%0 += %1" : "+r"(a) : "r"(b)); return a;', "r2 = *(u64 *)(r1 + 8); r0 = *(u64 *)(r1 + 0); r0 += r2; exit", True),
    (
        'asm volatile("%0 |= 1; %0 &= 0xff; %0 ^= 3; %0 <<= 2; %0 >>= 1; %0 s>>= 1" : "+r"(a)); return a;',
        "r0 = *(u64 *)(r1 + 0); r0 |= 1; r0 &= 255; r0 ^= 3; r0 <<= 2; r0 >>= 1; r0 s>>= 1; exit",
        True,
    ),
    (
        'asm volatile("%0 /= %1; %0 %%= %1; %0 <<= %1; %0 >>= %1; %0 s>>= %1; %0 *= %1" : "+r"(a) : "r"(b)); return a;',
        "r2 = *(u64 *)(r1 + 8); r0 = *(u64 *)(r1 + 0); r0 /= r2; r0 %= r2; r0 <<= r2; r0 >>= r2; r0 s>>= r2; r0 *= r2; exit",
        True,
    ),
    ('asm volatile("%0 = -%0; %0 = be16 %0" : "+r"(a)); return a;', "r0 = *(u64 *)(r1 + 0); r0 = -r0; r0 = be16 r0; exit", True),
    ('asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(a) : "r"(ctx), "i"(16)); return a;', "r0 = *(u32 *)(r1 + 16); exit", True),
    (
        'unsigned long long x[2] = {1, 2}; asm volatile("*(u64 *)(%0 + 8) = %1" :: "r"(&x[0]), "r"(a) : "memory"); return x[1];',
        "",
        True,
    ),
    ('unsigned long long x = 3; asm volatile("%0 = *(u64 *)%1" : "=r"(a) : "m"(x)); return a;', "", True),
    ('asm volatile("if %0 < 10 goto +1; %0 = 10" : "+r"(a)); return a;', "r0 = *(u64 *)(r1 + 0); if r0 < 10 goto +1; r0 = 10; exit", True),
    (
        'asm volatile("if %0 s<= %1 goto 1f; %0 = %1; 1:" : "+r"(a) : "r"(b)); return a;',
        "r2 = *(u64 *)(r1 + 8); r0 = *(u64 *)(r1 + 0); if r0 s<= r2 goto +1; r0 = r2; exit",
        True,
    ),
    ('asm volatile("1: %0 += -1; if %0 != 0 goto 1b" : "+r"(a)); return a;', "r0 = *(u64 *)(r1 + 0); r0 += -1; if r0 != 0 goto -2; exit", True),
    (
        'asm volatile("loop_%=: %0 += 3; if %0 s> 0 goto loop_%=" : "+r"(a)); return a;',
        "r0 = *(u64 *)(r1 + 0); r0 += 3; if r0 s> 0 goto -2; exit",
        True,
    ),
    ('asm volatile("r1 = 0x123456789abcdef0 ll; %0 = r1" : "=r"(a) :: "r1"); return a;', "", True),
    (
        'unsigned long long x = a; asm volatile("lock *(u64 *)(%0 + 0) += %1" :: "r"(&x), "r"(b) : "memory"); return x;',
        "",
        True,
    ),
    (
        'unsigned long long x = a; asm volatile("r0 = %1; r0 = cmpxchg_64(%0 + 0, r0, %1)" :: "r"(&x), "r"(b) : "r0", "memory"); return x;',
        "",
        True,
    ),
    ('asm volatile("%0 = 1 /* one */ // two\\n # three\\n%0 += 1;;\\n" : "=r"(a)); return a;', "r0 = 1; r0 += 1; exit", True),
    ('asm volatile("" : "+r"(a)); return a;', "r0 = *(u64 *)(r1 + 0); exit", True),
    ('asm("%0 += 1" : "+r"(a)); return b;', "r0 = *(u64 *)(r1 + 8); exit", True),
    ('asm volatile("%0 = 0xffffffff; %0 += 0xfffffff0" : "=r"(a)); return a;', "r0 = -1; r0 += -16; exit", True),
    ('asm volatile("r1 %= r2"); return 7;', "r1 %= r2; w0 = 7; exit", True),
    ('asm volatile("r6 = r1; r7 = r6; r8 = r7; r9 = r8; %0 = r9" : "=r"(a) :: "r6", "r7", "r8", "r9"); return a;', "", True),
    ('unsigned i = a; asm volatile("%0 &= 63" : "+r"(i)); return i;', "", True),
    # a move into a register that the value could have been made in is none; the rest stays
    ('asm volatile("r0 = 3; exit" ::: "r0"); return a;', "r0 = 3; exit", False),
    (
        'asm volatile("r6 = %1; call 5; %0 = r0; %0 += r6" : "=r"(a) : "r"(b) : "r0", "r1", "r2", "r3", "r4", "r5", "r6"); return a;',
        "r6 = *(u64 *)(r1 + 8); call unknown#5; r0 += r6; exit",
        False,
    ),
    (
        'asm volatile("r2 = r10; r2 += -8; r1 = 5; *(u64 *)(r2 + 0) = r1; %0 = *(u64 *)(r10 - 8)" : "=r"(a) :: "r1", "r2", "memory"); return a;',
        "r2 = r10; r2 += -8; r1 = 5; *(u64 *)(r2 + 0) = r1; r0 = *(u64 *)(r10 - 8); exit",
        False,
    ),
    # what BPF v3 has no instruction for is made of others
    ('asm volatile("%0 = (s8)%0" : "+r"(a)); return a;', "r0 = *(u64 *)(r1 + 0); r0 <<= 56; r0 s>>= 56; exit", False),
    ('asm volatile("%0 = bswap32 %0" : "+r"(a)); return a;', "r0 = *(u64 *)(r1 + 0); r0 = be32 r0; exit", False),
    ('asm volatile("if %0 & 7 goto +1; %0 = 3" : "+r"(a)); return a;', "r0 = *(u64 *)(r1 + 0); r1 = r0; r1 &= 7; if r1 != 0 goto +1; r0 = 3; exit", False),
]  # fmt: skip


@pytest.mark.parametrize(("body", "wanted"), [(body, wanted) for body, wanted, _ in ROWS if wanted])
def test_instructions_are_those_of_the_author(body: str, wanted: str) -> None:
    assert "; ".join(instructions(compile_source(whole(body)).data)) == wanted


@pytest.mark.skipif(shutil.which("clang-19") is None, reason="clang-19 is not installed")
@pytest.mark.parametrize("body", [body for body, _, same in ROWS if same])
def test_instructions_are_those_of_clang(body: str, tmp_path: Path) -> None:
    (tmp_path / "x.c").write_text(whole(body))
    words = ["clang-19", "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-c", "x.c", "-o", "x.o"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    assert instructions(compile_source(whole(body)).data) == instructions((tmp_path / "x.o").read_bytes())


# --- in the kernel

CMP = """
static u64 table[64];
#define bpf_cmp(LHS, OP, PRED, RHS, DEFAULT) ({ __label__ l_true; bool ret = DEFAULT; \\
  asm volatile goto("if %[lhs] " OP " %[rhs] goto %l[l_true]" :: [lhs] "r"((short)LHS), [rhs] PRED (RHS) :: l_true); \\
  ret = !DEFAULT; l_true: ret; })
#define below(x, limit) ({ bool found; if (__builtin_strcmp(#x, "") == 0) asm volatile("r0 ?? r1"); \\
  found = bpf_cmp(x, ">=", "ri", limit, false); found; })
static __attribute__((always_inline)) void tail_call(void *ctx, const void *map, const u32 slot)
{ asm volatile("r1 = %[ctx]\\n\\tr2 = %[map]\\n\\tr3 = %[slot]\\n\\tcall 12"
    :: [ctx]"r"(ctx), [map]"r"(map), [slot]"i"(slot) : "r0", "r1", "r2", "r3", "r4", "r5"); }
BPF_PROG_ARRAY(progs, 4);
static __attribute__((naked, noinline)) int sum(int x, int y) { asm volatile("r0 = r1; r0 += r2; exit" ::: "r0"); }
static __attribute__((naked)) u64 next(void) { asm volatile("r0 = r1; r0 += 1; exit" ::: "r0"); }
static __attribute__((noinline)) u32 twice(u32 x) { return 2 * x; }
"""
# body of f with a = 7 and b = 3: its result
RUNS = [
    ('int i = a; asm volatile("%[i] &= 63" : [i]"+r"(i)); return table[i] + 4;', 4),
    ('asm volatile("if %[i] < %[n] goto +1; %[i] = 0" : [i]"+r"(a) : [n]"i"(64)); return table[a] + 8;', 8),
    ('u32 i = a; asm volatile("if %[i] < %[n] goto +1; %[i] = 0" : [i]"+w"(i) : [n]"i"(64)); return table[i] + 8;', 8),
    ('asm volatile goto("if %[i] >= 64 goto %l[out]" :: [i]"r"(a) :: out); return table[a] + 4; out: return 1;', 4),
    ('unsigned i = a; asm volatile goto("if %0 >= 64 goto %l1" :: "r"(i) :: out); return table[i] + 4; out: return 1;', 4),
    ("if (!below(a, 64)) return 9; return table[a] + 5;", 5),
    ("u64 x = 70000; return bpf_cmp(x, \">\", \"ri\", 69999, true) + 2 * bpf_cmp(x, \">\", \"r\", b, true);", 3),
    ("tail_call(ctx, &progs, 3); return 4;", 4),
    ("return sum(a, b) + 30;", 40),
    ('asm volatile("r1 = %1; call next; %0 = r0" : "=r"(a) : "r"(a) : ' + CLOBBERS + "); return a;", 8),
    ('asm volatile("r1 = %1; call %[f]; %0 = r0" : "=r"(a) : "r"(a), [f]"i"(twice) : ' + CLOBBERS + "); return a;", 14),
    ('asm volatile("call %[h]; %0 = r0" : "=r"(a) : [h]"i"(bpf_get_smp_processor_id) : ' + CLOBBERS + "); return a < 4096;", 1),
    ('asm volatile("%0 = %1" : "=r"(a) : "r"(b)); return a * 10 + b;', 33),
    ('u64 x = a; asm volatile("r1 = %1; %0 = r1" : "=r"(x) : "r"(x) : "r1"); return x;', 7),
    ('u64 *p; asm volatile("%0 = %1; %0 += 8" : "=&r"(p) : "r"(ctx)); return *p;', 3),
    ('asm volatile("%0 = %1; %0 += %2" : "=&r"(a) : "r"(b), "0"(5ULL)); return a;', 6),
    ('u64 x = 5; asm volatile("lock *(u64 *)(%0 + 0) |= %1" :: "r"(&x), "r"(b) : "memory"); return x;', 7),
    ('u64 x = 5; asm volatile("%0 = atomic_fetch_add((u64 *)(%1 + 0), %0)" : "+r"(b) : "r"(&x) : "memory"); return x * 10 + b;', 85),
    ('u32 x = 5; asm volatile("w0 = 5; w0 = cmpxchg32_32(%0 + 0, w0, %1)" :: "r"(&x), "w"((u32)b) : "memory", "r0"); return x;', 3),
    ('u64 x = 5; asm volatile("r2 = 11; r2 = xchg_64(%0 + 0, r2)" :: "r"(&x) : "memory", "r2"); return x;', 11),
    # BPF's division by zero is 0, its remainder the dividend; LLVM must not conclude that b is not 0
    ('b -= 3; asm volatile("%0 /= %1" : "+r"(a) : "r"(b)); return b ? 5 : a + 1;', 1),
    ('b -= 3; asm volatile("%0 %%= %1" : "+r"(a) : "r"(b)); return a + 1;', 8),
    ('b -= 3; asm volatile("%0 /= %0" : "+r"(b)); return b;', 0),
    ('asm volatile("%0 = -7; %0 s/= 2" : "=r"(a)); return a;', -3),
    ('asm volatile("%0 = -7; %0 s%%= 4" : "=r"(a)); return a;', -3),
    ('asm volatile("%0 = 67; %1 <<= %0" : "=&r"(a), "+r"(b)); return b;', 24),
    ('asm volatile("r1 = -1; w1 = w1; r1 >>= 32; %0 = r1" : "=r"(a) :: "r1"); return a;', 0),
    ('a = 0x700000005; u32 i = a; asm volatile("" : "+w"(i)); u64 j = i; return j >> 32;', 0),
    ('u8 m[4] = {1, 0xfe, 3, 4}; int r; asm volatile("%0 = *(s8 *)(%1 + 1)" : "=r"(r) : "r"(m), "m"(m)); return r;', -2),
    ('u32 w = 0x80000000; asm volatile("%0 s>>= 31" : "+w"(w)); return w == 0xffffffff;', 1),
    ('asm volatile("%0 = 10; r1 = 0; 1: r1 += %0; %0 -= 1; if %0 != 0 goto 1b; %0 = r1" : "=r"(a) :: "r1"); return a;', 55),
    ('asm volatile("%[reg]=%[reg]" :: [reg]"r"((short)a)); return a;', 7),
    ('if (a == 8) asm volatile("r0 = 5; exit" ::: "r0"); asm volatile("r0 = 33; exit" ::: "r0"); return 1;', 33),
]  # fmt: skip


@pytest.mark.kernel
@pytest.mark.parametrize(("body", "result"), RUNS)
def test_results_in_the_kernel(program: Callable[..., Program], body: str, result: int) -> None:
    text = CMP + "int f(u64 *ctx) { u64 a = ctx[0], b = ctx[1]; " + body + " }"
    assert program(text).run(args=(7, 3)) == result


@pytest.mark.kernel
def test_the_verifier_refuses_the_access_without_the_clamp(program: Callable[..., Program]) -> None:
    with pytest.raises(VerifierError, match="unbounded"):
        program(CMP + "int f(u64 *ctx) { u64 a = ctx[0]; return table[a]; }").load()


NAKED = [
    ("r3 = 1; r3 <<= 1; r4 = 32; r4 >>= 1; r0 = r3; r0 += r4; exit;", 18),
    ("r1 = 0; *(u64 *)(r10 - 8) = r1; r2 = r10; r2 += -8; r1 = %[numbers] ll; call %[bpf_map_lookup_elem]; if r0 == 0 goto l0_%=; r0 = 7; exit; l0_%=: r0 = 5; exit", 5),
    ("call %[bpf_ktime_get_ns]; if r0 == 0 goto l0_%=; gotol l1_%=; l2_%=: gotol l3_%=; l1_%=: r0 = 1; gotol l2_%=; l0_%=: r0 = 2; l3_%=: exit", 1),
    ("r7 = r10; r7 += -16; r1 = 7; *(u64 *)(r7 + 0) = r1; *(u32 *)(r7 + 8) = 9; r0 = *(u64 *)(r10 - 16); w3 = *(u32 *)(r10 - 8); r0 += r3; exit", 16),
    ("r0 = 1; if r0 == 1 goto +2; r0 = 8; exit; r0 = %[size]; exit", 8),
    ("r9 = r1; r1 = *(u64 *)(r9 + 8); r0 = r1; exit", 3),
    ("r0 = 0; exit; r0 = r9; r8 = *(u64 *)(r7 + 0)", 0),
]  # fmt: skip


@pytest.mark.kernel
@pytest.mark.parametrize("returns", ["int", "void"])
@pytest.mark.parametrize(("text", "result"), NAKED)
def test_naked_programs(program: Callable[..., Program], returns: str, text: str, result: int) -> None:
    operands = '[bpf_map_lookup_elem]"i"(bpf_map_lookup_elem), [bpf_ktime_get_ns]"i"(bpf_ktime_get_ns), [numbers]"i"(&numbers), [size]"i"(sizeof(u64))'
    made = program(
        "BPF_HASH(numbers, u64, u64, 1);\n"
        f'SEC("raw_tp") __attribute__((naked)) {returns} f(void *ctx) {{ asm volatile("{text}" :: {operands} : {CLOBBERS}); }}'
    )
    assert made.run(args=(7, 3)) == result


def random_program(rng: random.Random) -> str:
    """Arithmetic over all registers and the stack; r0 depends on all of them in the end."""
    lines = ["r6 = r1", "r0 = *(u64 *)(r6 + 0)"]
    registers = [0, 1, 2, 3, 4, 5, 7, 8, 9]
    for r in registers[1:]:
        lines.append(rng.choice([f"r{r} = {rng.choice([0, 1, -1, 63, 0x7FFFFFFF])}", f"r{r} = {rng.getrandbits(64):#x} ll"]))
    lines += [f"*(u64 *)(r10 - {8 * n}) = r{n}" for n in (1, 2, 3)]
    for number in range(40):
        a, b, w, place = rng.choice(registers), rng.choice(registers), rng.choice("rw"), 8 * rng.randrange(1, 4)
        op = rng.choice(["+", "-", "*", "/", "%%", "&", "|", "^", "<<", ">>", "s>>"])
        lines.append(
            rng.choice(
                [
                    f"{w}{a} {op}= {w}{b}",
                    f"{w}{a} {op}= {rng.randrange(1, 31)}",
                    f"{w}{a} = {w}{b}",
                    f"{w}{a} = -{w}{a}",
                    f"r{a} = {rng.choice(['be', 'le', 'bswap'])}{rng.choice([16, 32, 64])} r{a}",
                    f"r{a} = (s{rng.choice([8, 16, 32])})r{b}",
                    f"*(u{rng.choice([8, 16, 32, 64])} *)(r10 - {place}) = r{b}",
                    f"r{a} = *({rng.choice(['u8', 'u16', 'u32', 'u64', 's8', 's16', 's32'])} *)(r10 - {place})",
                    f"if {w}{a} {rng.choice(['==', '<', 's>', '&'])} {w}{b} goto l{number}; r0 += {w.replace('w', 'r')}{b}; l{number}:",
                    f"{w}{a} s{rng.choice(['/', '%%'])}= {w}{b}",
                    f"r{b} = atomic_fetch_{rng.choice(['add', 'and', 'or', 'xor'])}((u64 *)(r10 - {place}), r{b})",
                    f"r0 = cmpxchg_64(r10 - {place}, r0, r{b})",
                ]
            )
        )
    lines += [f"r0 *= 31; r0 ^= r{r}" for r in registers[1:]]
    lines += [f"r1 = *(u64 *)(r10 - {8 * n}); r0 *= 37; r0 += r1" for n in (1, 2, 3)]
    return "; ".join([*lines, "r1 = r0", "r1 >>= 32", "r0 ^= r1", "exit"])


@pytest.mark.kernel
@pytest.mark.skipif(shutil.which("clang-19") is None, reason="clang-19 is not installed")
@pytest.mark.parametrize("seed", range(6))
def test_random_programs_compute_what_clangs_do(seed: int, program: Callable[..., Program], tmp_path: Path) -> None:
    body = random_program(random.Random(seed))
    text = (
        f'__attribute__((section("raw_tp"), naked)) int f(unsigned long long *ctx) {{ asm volatile("{body}" ::: "memory"); }}'
        + TAIL
    )
    (tmp_path / "x.c").write_text(text)
    words = ["clang-19", "-O2", "-g", "-target", "bpf", "-mcpu=v4", "-c", "x.c", "-o", "x.o"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    ours = program(text)
    result = ours.run(args=(0x123456789ABCDEF,))
    ours.object = read_object((tmp_path / "x.o").read_bytes())
    ours.loaded["ours"] = ours.loaded.pop("f")
    assert result == ours.run(args=(0x123456789ABCDEF,))


# --- what is refused

REFUSED = [
    ('asm volatile("r0 = 1\\n r1 == 2" ::: "r0");', "==", r"expected '=', '\+=' or another assignment, found '=='"),
    ('asm volatile("foo r1");', "foo", r"expected an instruction \(accepted are .*, found 'foo'"),
    ('asm volatile("%[x] += 1" : [y]"+r"(a));', "%[x]", "no operand has the name 'x'"),
    ('asm volatile("%[indx] += 1" : [index]"+r"(a));', "%[indx]", "did you mean 'index'"),
    ('asm volatile("%3 += 1" : "+r"(a));', "%3", "this asm has 1 operands"),
    ('asm volatile("r1 = w2");', "w2", "'w2' has 32 bits, but 64 are needed"),
    ('asm volatile(".8byte %[x]" :: [x]"i"(5));', ".8byte", "the directive '.8byte' cannot be compiled"),
    ('asm volatile("may_goto +1");', "may_goto", "bpf_loop"),
    ('asm volatile("goto +9");', "+9", r"'goto \+9' jumps out of the text"),
    ('asm volatile("r1 = 5 ll; goto -2");', "-2", "into the middle of an instruction"),
    ('asm volatile("goto nowhere");', "nowhere", r"no label 'nowhere' in this asm \(a label of C is written %l\[nowhere\]\)"),
    ('asm volatile("r10 = 3");', "r10", "frame pointer"),
    ('asm volatile("r1 /= 0");', "/= 0", "division by zero"),
    ('asm volatile("w1 <<= %0" :: "i"(32));', "<<= %0", "a shift of 32 bits by 32"),
    ('asm volatile("r1 = 0x123456789");', "0x123456789", "r1 = 0x123456789 ll"),
    ('asm volatile("r1 = *(u32 *)(r2 + 40000)");', "+ 40000", "16 bits"),
    ('asm volatile("r1 = *(u33 *)(r2 + 4)");', "u33", "expected one of u8, u16"),
    ('asm volatile("%0 = 1" :: "r"(a));', "%0", "is an input"),
    ('asm volatile("r1 = *(u64 *)%0" :: "r"(a));', "%0", "in parentheses"),
    ('asm volatile("call bpf_get_prandom_u32");', "call bpf_get_prandom_u32", "a helper is an operand"),
    ('asm volatile("call %0" :: "r"(a));', "%0", '"i" constraint'),
    ('asm volatile("r1 %= 3" :: "r"(a));', "%=", "'%%='"),
    ('asm volatile("x: x: goto x");', "x: goto", "appears twice"),
    ('asm volatile("r1 = 5 r2 = 6");', "r2", "expected the end of the instruction"),
    ('asm volatile("r1 = @");', "@", "'@' means nothing"),
    ('asm volatile("lock *(u16 *)(r1 + 0) += r2");', "+=", "on u32 or u64"),
    ('asm volatile("if r1 > 1 goto %l[q]" : "+r"(a));', "%l[q]", "none of the labels"),
    ('asm volatile("" : "=z"(a));', "a)", 'constraint "=z" is none of BPF\'s'),
    ('asm volatile("" :: "w"(a));', "a)", "does not fit into 32 bits"),
    ('asm volatile("" :: "5"(a));', "a)", "names no output"),
    ('asm volatile("" ::: "rax");', "asm", "clobber 'rax'"),
    ('struct { int x[5]; } s; asm volatile("r1 = %0" :: "r"(s));', "s)", "does not fit into a register"),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "place", "message"), REFUSED)
def test_what_is_wrong_is_shown_where_it_stands(statement: str, place: str, message: str) -> None:
    text = "int f(void *ctx) {\n unsigned long long a = 1;\n" + statement + "\n return 0; }"
    with pytest.raises(CompileError, match=message) as caught:
        compile_source(text, file="x.c")
    first = re.match(r"x\.c:(\d+):(\d+): error", str(caught.value))
    assert first is not None
    at = statement.rindex(place) if place.endswith(")") else statement.index(place)
    assert (int(first[1]), int(first[2])) == (3, at + 1)


def test_the_place_is_found_in_a_template_of_several_literals() -> None:
    text = 'int f(void *ctx) {\n asm volatile("r1 = 1;\\n\\t"\n  "r2 = 2;"\n  "r3\\t= bogus;");\n return 0; }'
    with pytest.raises(CompileError, match=r"x\.c:4:10: error: 'bogus' is not known here"):
        compile_source(text, file="x.c")


def test_exit_needs_a_function_of_its_own() -> None:
    text = 'static int g(void) { asm volatile("r0 = 1; exit"); return 2; } int f(void *ctx) { return g(); }'
    with pytest.raises(CompileError, match="'exit' would end the function that 'g' is inlined into"):
        compile_source(text)


def test_a_naked_function_is_assembly_only() -> None:
    with pytest.raises(CompileError, match="its body is asm statements only"):
        compile_source("__attribute__((naked)) int f(void *ctx) { return 0; }")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            'asm("nop"); asm volatile("bogus %0" : "+r"(x));',
            r"x\.c:2:13: error: LLVM refuses this assembly: invalid instruction mnemonic 'bogus'",
        ),
        ('asm volatile("" : "=z"(x));', r"x\.c:2:1: error: LLVM refuses this assembly: .*constraint 'z'"),
        ('asm("mov %[y], %0" : "=r"(x));', r"x\.c:2:10: error: no operand has the name 'y'"),
        ('asm goto("" :::: out); out:;', r"x\.c:2:1: error: asm goto works for BPF only"),
    ],
)
def test_host_assembly_that_llvm_refuses_has_a_place(statement: str, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        compile_source("int main(void) { int x = 1;\n" + statement + "\n return x; }", file="x.c", target="host")
