"""The verifier's log for people: the C line, the instruction, the reason in one line, and a hint.

In: the log of a failed BPF_PROG_LOAD. Out: VerifierError.
"""

from __future__ import annotations

from skep.engine.errnos import errno_text
from skep.errors import VerifierError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# (words of the kernel's message, what to do); the first row whose words all occur wins. kernel/bpf/verifier.c, 6.1 to 6.18
HINTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("map_value_or_null",),
        "a lookup may find nothing: test the pointer before it is used, `if (!value) return 0;`",
    ),
    (("_or_null",), "the pointer may be NULL here: test it before it is used"),
    (
        ("unbounded memory access",),
        "the verifier knows no upper bound: limit the value first, `if (n > MAX) return 0;` or `n &= MAX - 1`",
    ),
    (("min value is negative",), "the value may be negative: use an unsigned type or test `>= 0` first"),
    (("unbounded min value",), "the verifier knows no bounds of the value: use an unsigned type and limit it first"),
    (("unbounded variable-offset",), "the offset has no bound: limit the index before it is used"),
    (
        ("invalid mem access 'scalar'",),
        "the pointer is only a number to the verifier: read through it with bpf_probe_read_kernel() or bpf_probe_read_user()",
    ),
    (
        ("invalid mem access 'inv'",),
        "the pointer is only a number to the verifier: read through it with bpf_probe_read_kernel() or bpf_probe_read_user()",
    ),
    (("invalid access to packet",), "compare with data_end first: `if (data + n > data_end) return XDP_PASS;`"),
    (("invalid access to map value",), "the index may lie outside the map's value: limit it first"),
    (("invalid access to memory",), "the size passed is larger than the memory behind the pointer"),
    (("invalid read from stack",), "a part of this variable was never written: initialise it (`= {}`) before it is passed on"),
    (("invalid indirect read from stack",), "part of this variable was never written: initialise it (`= {}`), padding included"),
    (("invalid indirect access to stack",), "part of this variable was never written: initialise it (`= {}`), padding included"),
    (("invalid write to stack",), "the access is outside the 512 bytes of the stack"),
    (("invalid stack off",), "the access is outside the 512 bytes of the stack"),
    (("stack size", "exceed"), "all active functions together may use 512 bytes of stack: put large data into a per-CPU array"),
    (("combined stack size",), "all active functions together may use 512 bytes of stack: put large data into a per-CPU array"),
    (("back-edge",), "loops need a bound that the verifier can see: a constant limit, bpf_loop(), or `#pragma unroll`"),
    (("infinite loop detected",), "no value changes from one round to the next: give the loop a counter with a constant limit"),
    (("sequence of", "jumps is too complex"), "too many paths: split the program, or move the loop body into bpf_loop()"),
    (("too many instructions",), "the verifier gave up after a million steps: shorten loops, or use bpf_loop() or __noinline"),
    (("program is too large",), "the verifier gave up after a million steps: shorten loops, or use bpf_loop() or __noinline"),
    (("unreleased reference",), "what was acquired or reserved must be released on every path: submit or discard the record"),
    (("reference leak",), "what was acquired or reserved must be released on every path: submit or discard it"),
    (("reference has not been released",), "what was acquired or reserved must be released on every path: submit or discard it"),
    (("r0 !read_ok",), "the function ends without a result on some path: return a value"),
    (("r0 is not initialized",), "the function ends without a result on some path: return a value"),
    (("!read_ok",), "the register holds nothing here: an uninitialised variable, or a register that a call has overwritten"),
    (("gpl compatible",), "this helper is for GPL programs only: the licence must be \"GPL\""),
    (("gpl-restricted",), "this helper is for GPL programs only: the licence must be \"GPL\""),
    (("cannot call gpl",), "this helper is for GPL programs only: the licence must be \"GPL\""),
    (("program of this type cannot use helper",), "this program type may not call this helper: attach to another kind of hook"),
    (("unknown func",), "this kernel does not offer this helper to this program type"),
    (("invalid func",), "this kernel does not know this helper: it needs a newer kernel"),
    (("helper call is not allowed",), "this program type may not call this helper: attach to another kind of hook"),
    (("calling kernel function", "is not allowed"), "this program type may not call this kernel function"),
    (("misaligned",), "the access must be aligned to its size: order the struct's members by size, or copy with memcpy"),
    (("unknown opcode",), "this kernel does not know this instruction: compile for an older instruction set (-mcpu=v3 or v2)"),
    (("invalid bpf_atomic",), "this kernel does not know this atomic operation: compile with -mcpu=v3 or newer kernels"),
    (("invalid bpf_context access",), "the context of this program type has no readable field at this offset"),
    (("dereference of modified ctx",), "the context pointer may not be moved before it is read: read `ctx->field` directly"),
    (("cannot write into", "rdonly"), "this memory is read-only for programs"),
    (("write into map forbidden",), "the map is read-only for programs"),
    (("pointer arithmetic on",), "this pointer may not be moved: copy what it points to first"),
    (("pointer operation prohibited",), "arithmetic on this pointer is not allowed: test for NULL or copy first"),
    (("leaks addr",), "a kernel address may not be stored where user space reads it"),
    (("jump out of range",), "a jump leads outside the program: the object is damaged"),
    (("unreachable insn",), "code that nothing reaches: the object is damaged or was optimised wrongly"),
    (("last insn is not an exit",), "the program must end in `return`"),
    (("tail_call", "not"), "tail calls are not allowed here: not from callbacks, nor together with subprograms on old kernels"),
    (("the call stack of", "frames is too deep"), "at most 8 calls deep: make some functions __always_inline"),
    (("recursive call",), "functions may not call themselves"),
    (("type=", "expected="), "the argument has another kind of memory than the helper takes"),
    (("at program exit", "should have been"), "the result is outside what this hook accepts"),
    (("btf_id",), "the type or function that the program is bound to does not fit this kernel"),
)  # fmt: skip

# lines that are the machine's notes and never the reason
_NOISE = (
    "processed ", "verification time", "stack depth", "mark_precise", "from ", "func#", "Live regs", "Validating ", "Func#",
    "arg#", "propagating ", "reg type unsupported", "last_idx", "regs=", "parent ", "insns processed",
)  # fmt: skip


class Report:
    """What a log says: the reason, the failing instruction with its registers, and the C line."""

    __slots__ = ("insn", "instruction", "reason", "registers", "source_line")

    def __init__(self) -> None:
        self.reason = ""
        self.insn: int | None = None
        self.instruction = ""
        self.registers = ""
        self.source_line = ""


def read_log(log: str) -> Report:
    """Take a log apart; what it does not hold stays empty."""
    report = Report()
    reasons: list[str] = []
    for line in log.splitlines():
        if line.startswith("; "):
            report.source_line = line[2:].strip()
            continue
        number, separator, rest = line.partition(": ")
        if separator and number.strip().isdigit():
            if not rest.startswith("("):  # "12: R0=... R1=...": the registers before the instruction
                report.registers = rest.strip()
                continue
            report.insn = int(number)
            text, _, registers = rest.partition(" ; ")
            report.instruction = text.partition(")")[2].strip() or text
            if registers:
                report.registers = registers.strip()
            reasons.clear()
        elif line.strip() and not line.startswith(_NOISE):
            reasons.append(line.strip())
    report.reason = "; ".join(reasons[:3])  # the first says what, the others why
    return report


def hint_for(reason: str) -> str:
    """What to do about a message of the verifier, or an empty string."""
    lowered = reason.lower()
    for words, hint in HINTS:
        if all(word in lowered for word in words):
            return hint
    return ""


def verifier_error(program: str, kind: str, log: str, number: int, source_of: Callable[[int], str]) -> VerifierError:
    """The exception for a refused program; `source_of(insn)` gives the C line where the log itself has none."""
    report = read_log(log)
    source = report.source_line
    if " @ " not in source and report.insn is not None:  # the log names file and line since 6.8
        source = source_of(report.insn) or source
    reason = report.reason or f"the kernel says {errno_text(number)} and nothing more"
    hint = hint_for(reason)
    if not hint and reason.startswith("R") and "invalid mem access" in reason:
        hint = "this kind of pointer cannot be read directly: copy what it points to with bpf_probe_read_kernel()"
    lines = [f"the kernel refuses program {program!r} ({kind}): {reason}"]
    if source:
        lines.append(f"  C line:      {source}")
    if report.insn is not None:
        lines.append(f"  instruction: {report.insn}: {report.instruction}")
    if report.registers:
        lines.append(f"  registers:   {report.registers}")
    if hint:
        lines.append(f"  hint:        {hint}")
    lines.append(f"  errno:       {errno_text(number)}; the whole log is in .log ({log.count(chr(10))} lines)")
    return VerifierError("\n".join(lines), log=log, insn=report.insn, source_line=source, hint=hint, errno=number)
