"""The text of the program that walks a hash map's buckets, for the map's sizes and this kernel's structs.

In: a live hash map, and where its elements go. Out: the text for `skep.bytecode.assembler`, and the layout of its output.
"""

from __future__ import annotations

import struct
from functools import cache

from skep.bytecode.assembler import assemble
from skep.engine.kernel.map_create import create_map
from skep.engine.kernel.programs import KernelProgram, load_program
from skep.engine.kernel.relocations import find_kernel_type
from skep.errors import UnsupportedError
from skep.object.kinds import MAP_TYPES, kind_for_type, map_types
from skep.object.model import MapSpec, Object, ProgramSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from skep.btf.types import Struct
    from skep.engine.kernel.maps import KernelMap

_PER_CPU = map_types("percpu_hash lru_percpu_hash")
_MOST_PIECES = 128  # of one element: its copy is unrolled, and the longer it takes the more may happen meanwhile
_AHEAD = 256  # buckets whose elements are brought into the cache together
_LINKS_AHEAD = 4  # elements of each; hardly a bucket of a full map has more
_LINE = 64  # bytes of a cache line
_LINES_AHEAD = 4  # of an element: the processor itself overlaps the reads of a long one
# the start of the output. In: the first bucket, the one to stop before, 0, how often to try again, to follow the links again.
# Out: the first bucket that was not read, how many there are, elements
STATE = struct.Struct("=QQQQQ")
# behind it, as the verifier would keep apart what it knows of them: elements before the bucket, and with it; how many elements
# are to be read ahead; a 0 that the verifier does not know
_FIRST, _COUNT, _LENGTH, _ZERO = "[%r8+40]", "[%r8+48]", "[%r8+56]", "[%r8+64]"
_LEADING = 72  # the addresses of the elements to be read ahead
START = _LEADING + 8 * _AHEAD  # of the keys
# the program's stack: the addresses of the buckets' array, of the bucket, of an element, of its value for a CPU and of what comes
# next; the bucket's number, the one to stop before, how many there are; tries left; a sum of the addresses of a bucket's
# elements in their order; how often the links are to be followed once more
(
    _ARRAY, _LINK, _ELEMENT, _PLACE, _FOLLOWING, _BUCKET, _END, _HOW_MANY, _TRIES, _CHAIN, _CHECKS,
) = (f"[%r10-{8 * slot}]" for slot in range(1, 12))  # fmt: skip
_RAW_TRACEPOINT = 17
_OWNER = Object(b"", license="GPL", btf=None, maps={}, programs={})


def program_text(map: KernelMap, output_fd: int, room: int, values_at: int) -> str:
    """The program, which takes no lock and yet gives what the batch call promises; it fills room for so many elements.

    The kernel's own lookups take none either (lookup_nulls_elem_raw, kernel/bpf/hashtab.c): a bucket's list ends in the bucket's
    number, so who was led astray by an element that moved sees it. Here each element is read twice, and in between it must be
    linked to where the walk came from, as one that was taken out is not; values per CPU are written in place, so the bucket's
    lock must be free as well. An update puts its element at the head, maybe behind the walk: so the links are followed again
    from the head, and must lead to the same elements with the same keys; and once more, as others may have moved away and back
    meanwhile. Where anything differs, the bucket is read again.

    Elements lie in memory in no order: one after the other, each would be waited for. So the elements of some buckets are read
    ahead, first all the first ones, then all the second ones, which the processor overlaps. UnsupportedError for elements that
    are too large, and kernels that lack something.
    """
    return _Text(map, output_fd, room, values_at).whole()


def load(name: str, text: str) -> KernelProgram:
    """A program of ours, to be run by hand."""
    return load_program(ProgramSpec(name, "", assemble(text)), kind_for_type(_RAW_TRACEPOINT), {}, _OWNER, 0)


def aligned(size: int) -> int:
    """As the kernel aligns keys and values in an element."""
    return (size + 7) // 8 * 8


class _Text:
    """What the parts of the text share: sizes, offsets, and ways to write a read."""

    def __init__(self, map: KernelMap, output_fd: int, room: int, values_at: int) -> None:
        self.kernel = kernel = _kernel()
        self.map_fd, self.output_fd, self.room, self.values_at = map.fd, output_fd, room, values_at
        self.key_size, self.value_size = map.key_size, map.value_size
        self.value = kernel.key + aligned(map.key_size)
        self.per_cpu = map.type in _PER_CPU
        self.cpus = _cpu_offsets(map.value_size // aligned(map.spec.value_size)) if self.per_cpu else [0]
        self.keys = list(_pieces(kernel.key, map.key_size))
        self.values = list(_pieces(0 if self.per_cpu else self.value, map.value_size // len(self.cpus)))
        if len(self.keys) + len(self.values) * len(self.cpus) > _MOST_PIECES:
            raise UnsupportedError("the elements are too large to be copied piece by piece", needs="the batch call")
        size = self.value + (8 if self.per_cpu else map.value_size)
        self.lines = range(_LINE, min(size, _LINES_AHEAD * _LINE), _LINE)
        self.reads_ahead = map.max_entries > _AHEAD // 2  # the number of buckets is the next power of two
        self.state = f"ldmapvalue %r8, {output_fd}"

    def cast(self, type_id: int) -> str:
        """%r0: the address in %r1, which may be read as that type."""
        return f"mov32 %r2, {type_id}\ncall kernel {self.kernel.cast}"

    def read(self, register: str, offset: int = 0) -> str:
        """%r0: the 8 bytes there. A read of what is no memory gives 0."""
        return f"mov %r1, {register}\nadd %r1, {offset}\n{self.cast(self.kernel.word)}\nldxdw %r0, [%r0+0]"

    def value_of(self, offset: int) -> str:
        """%r1: where the element at %r9 has its value for the CPU of that offset."""
        return f"{self.read('%r9', self.value)}\nlddw %r1, {offset}\nadd %r1, %r0"

    def pieces(self, parts: list[tuple[int, int, int]], then: str) -> Iterator[str]:
        """For each piece of what is at %r9: its bytes in %r0, then `then` with its size's letter and its place in the output."""
        for number, (offset, size, place) in enumerate(parts):
            if self.per_cpu and number % 8 == 0:
                yield f"ldxdw %r1, {_LINK}\n{self.read('%r1', self.kernel.lock)}\nmov32 %r0, %r0\njne %r0, 0, again"
            yield self.read("%r9", offset // 8 * 8)
            if size < 8:
                yield f"rsh %r0, {offset % 8 * 8}\nlsh %r0, {64 - 8 * size}\nrsh %r0, {64 - 8 * size}"
            yield then.format(letter={1: "b", 2: "h", 4: "w", 8: "dw"}[size], place=place)

    def at(self, count: str, start: int, size: int) -> str:
        """%r8: where the output has the element of this number."""
        return f"mov %r8, {count}\nmul %r8, {size}\nldmapvalue %r1, {self.output_fd | start << 32}\nadd %r8, %r1"

    def element(self, then: str) -> Iterator[str]:
        """`then` for each piece of the key and the value of the element at %r9, the %r7th of the output."""
        yield self.at("%r7", START, self.key_size)
        yield from self.pieces(self.keys, then)
        yield self.at("%r7", self.values_at, self.value_size)
        for number, offset in enumerate(self.cpus):
            if self.per_cpu:  # the element has the address of its values, less the CPU's offset
                yield f"stxdw {_ELEMENT}, %r9\n{self.value_of(offset)}\nstxdw {_PLACE}, %r1\nldxdw %r9, {_PLACE}"
            base = number * (self.value_size // len(self.cpus))
            yield from self.pieces([(offset, size, base + place) for offset, size, place in self.values], then)
            if self.per_cpu:
                yield f"ldxdw %r9, {_ELEMENT}"

    def ahead(self) -> Iterator[str]:
        """Reads the elements of the next buckets. What was no element but a bucket's end is left out of the next turn.

        The verifier would follow each turn of a loop, and each way into it, where it knows more than before: so loops begin
        with numbers that it does not know.
        """
        forget = f"ldxdw %r6, {_ZERO}\nldxdw %r7, {_ZERO}\nldxdw %r9, {_ZERO}\n{self.read('%r9')}"
        # %r6: elements of this turn so far, %r7: those of the next
        bounds = "jge %r6, {ahead}, {then}\njge %r7, {ahead}, {then}"
        keep = (
            f"mov %r1, %r7\nlsh %r1, 3\nadd %r1, %r8\nstxdw [%r1+{_LEADING}], %r0\n"
            "and %r0, 1\nxor %r0, 1\nadd %r7, %r0\nadd %r6, 1"
        )
        yield f"{forget}\nmay_goto stop\nldxdw %r9, {_BUCKET}\nlsh %r9, 4\nldxdw %r1, {_ARRAY}\nadd %r9, %r1"
        yield f"heads: may_goto stop\n{bounds.format(ahead=_AHEAD, then='ahead_0')}\n{self.read('%r9')}\n{keep}\nadd %r9, 16"
        yield "ja heads"
        for turn in range(_LINKS_AHEAD):
            following = f"ahead_{turn + 1}"
            yield f"ahead_{turn}: stxdw {_LENGTH}, %r7\n{forget}"
            yield f"links_{turn}: may_goto stop\nldxdw %r1, {_LENGTH}\njge %r6, %r1, {following}"
            yield bounds.format(ahead=_AHEAD, then=following)
            yield f"mov %r1, %r6\nlsh %r1, 3\nadd %r1, %r8\nldxdw %r9, [%r1+{_LEADING}]"
            yield from (self.read("%r9", line) for line in self.lines)
            if self.per_cpu:
                yield from (f"{self.value_of(offset)}\n{self.read('%r1')}" for offset in self.cpus)
            yield f"{self.read('%r9', self.kernel.next)}\n{keep}\nja links_{turn}"
        yield f"ahead_{_LINKS_AHEAD}: {forget}\nldxdw %r1, {_ZERO}\nldxdw %r7, {_FIRST}"

    def whole(self) -> str:
        """All of it."""
        kernel, read, state = self.kernel, self.read, self.state
        copy, compare = "stx{letter} [%r8+{place}], %r0", "ldx{letter} %r1, [%r8+{place}]\njne %r0, %r1, again"
        skip = ["mov %r1, %r6", f"and %r1, {_AHEAD - 1}", "jne %r1, 0, head"]
        return "\n".join([
            f"ldmap %r1, {self.map_fd}", self.cast(kernel.htab), "mov %r9, %r0",
            # locks, timers and the like in the values are not shown to user space; NULL and ERR_PTR() say that there are none
            read("%r9", kernel.record), "add %r0, 4095", "jgt %r0, 4095, exit",
            read("%r9", kernel.buckets), f"stxdw {_ARRAY}, %r0",
            read("%r9", kernel.n_buckets // 8 * 8), f"rsh %r0, {kernel.n_buckets % 8 * 8}", "mov32 %r1, %r0",
            f"stxdw {_HOW_MANY}, %r1", state, "ldxdw %r2, [%r8+8]", "jle %r2, %r1, bounded", "mov %r2, %r1",
            f"bounded: stxdw {_END}, %r2",
            "ldxdw %r1, [%r8+0]", f"stxdw {_BUCKET}, %r1", "ldxdw %r7, [%r8+16]", "ldxdw %r1, [%r8+24]", f"stxdw {_TRIES}, %r1",
            # one by one: two slots with the same number are another state to the verifier than two with any
            *[f"ldxdw %r1, {_ZERO}\nstxdw {slot}, %r1" for slot in (_LINK, _ELEMENT, _PLACE, _FOLLOWING, _CHAIN, _CHECKS)],
            # %r7: elements so far, %r9: what a link leads to
            "bucket:", state, f"stxdw {_FIRST}, %r7",
            f"ldxdw %r6, {_BUCKET}", f"ldxdw %r1, {_END}", "jge %r6, %r1, end",
            *([*skip, *self.ahead()] if self.reads_ahead else []),
            f"head: may_goto stop\nldxdw %r6, {_BUCKET}", "lsh %r6, 4", f"ldxdw %r1, {_ARRAY}", "add %r6, %r1",
            f"stxdw {_LINK}, %r6", read("%r6"), "mov %r9, %r0", "mov %r1, 0", f"stxdw {_CHAIN}, %r1",
            # %r6: the address of the link
            "element: may_goto stop",
            "mov %r1, %r9", "and %r1, 1", "jne %r1, 0, last", f"jge %r7, {self.room}, stop",
            *self.element(copy),
            read("%r9", kernel.next), f"stxdw {_FOLLOWING}, %r0",
            read("%r9", kernel.pprev), "jne %r0, %r6, again",
            *self.element(compare),
            # an update puts the new element at the head before it takes the old one away
            state, f"ldxdw %r1, {_FIRST}", "jeq %r1, %r7, other", f"jge %r1, {self.room}, stop",
            self.at("%r1", START, self.key_size),
            *self.pieces(self.keys, "ldx{letter} %r1, [%r8+{place}]\njne %r0, %r1, other"), "ja again",
            "other:", f"ldxdw %r1, {_CHAIN}", "mul %r1, 31", "add %r1, %r9", f"stxdw {_CHAIN}, %r1",
            "mov %r6, %r9", f"add %r6, {kernel.next}", f"ldxdw %r9, {_FOLLOWING}", "add %r7, 1", "ja element",
            "last:", state, f"stxdw {_COUNT}, %r7", "rsh %r9, 1", f"ldxdw %r1, {_BUCKET}", "jne %r9, %r1, again",
            state, f"ldxdw %r1, {_FIRST}", "jeq %r1, %r7, done", "ldxdw %r1, [%r8+32]", f"stxdw {_CHECKS}, %r1",
            "check:", state, f"ldxdw %r7, {_FIRST}", "mov %r6, 0",
            f"ldxdw %r1, {_LINK}", read("%r1"), "mov %r9, %r0",
            "check_element: may_goto stop",
            "mov %r1, %r9", "and %r1, 1", "jne %r1, 0, checked",
            state, f"ldxdw %r1, {_COUNT}", "jge %r7, %r1, again", f"jge %r7, {self.room}, stop",
            self.at("%r7", START, self.key_size), *self.pieces(self.keys, compare),
            "mul %r6, 31", "add %r6, %r9", read("%r9", kernel.next), "mov %r9, %r0", "add %r7, 1", "ja check_element",
            "checked: rsh %r9, 1", f"ldxdw %r1, {_BUCKET}", "jne %r9, %r1, again",
            state, f"ldxdw %r1, {_COUNT}", "jne %r7, %r1, again",
            f"ldxdw %r1, {_CHAIN}", "jne %r1, %r6, again",
            f"ldxdw %r1, {_CHECKS}", "sub %r1, 1", f"stxdw {_CHECKS}, %r1", "jne %r1, 0, check",
            f"done: ldxdw %r1, {_BUCKET}", "add %r1, 1", f"stxdw {_BUCKET}, %r1", "ja bucket",
            "again:", state, f"ldxdw %r7, {_FIRST}", f"ldxdw %r1, {_TRIES}", "jeq %r1, 0, stop", "sub %r1, 1",
            f"stxdw {_TRIES}, %r1", "ja head",
            "stop:", state, f"ldxdw %r7, {_FIRST}",
            "end:", state, f"ldxdw %r1, {_BUCKET}", "stxdw [%r8+0], %r1", f"ldxdw %r1, {_HOW_MANY}", "stxdw [%r8+8], %r1",
            "stxdw [%r8+16], %r7",
            "mov32 %r0, 0", "exit",
        ])  # fmt: skip


def _pieces(start: int, size: int) -> Iterator[tuple[int, int, int]]:
    """(offset, size, place in the output) of aligned pieces of 8, 4, 2 and 1 bytes; `start` is a multiple of 8."""
    at = 0
    while at < size:
        piece = next(piece for piece in (8, 4, 2, 1) if piece <= size - at)
        yield start + at, piece, at
        at += piece


class _Kernel:
    """BTF ids of this kernel, and offsets in its structs: struct bpf_htab, struct bucket, struct htab_elem."""

    __slots__ = ("buckets", "cast", "htab", "key", "lock", "n_buckets", "next", "pprev", "record", "word")

    def __init__(self) -> None:
        self.cast = _id("bpf_rdonly_cast", "func")  # 6.2
        self.word = _id("timespec64", "struct")  # begins with a 64-bit integer
        self.htab = _id("bpf_htab", "struct")
        self.record = _offset("bpf_htab", "map") + _offset("bpf_map", "record")
        self.buckets = _offset("bpf_htab", "buckets")
        self.n_buckets = _offset("bpf_htab", "n_buckets")
        self.lock = _offset("bucket", "raw_lock")
        self.key = _offset("htab_elem", "key")
        self.next, self.pprev = _offset("hlist_nulls_node", "next"), _offset("hlist_nulls_node", "pprev")
        if (_struct("bucket").size, self.lock, self.key % 8) != (16, 8, 0):
            raise UnsupportedError("this kernel's hash buckets have another layout", needs="a kernel without lock debugging")


@cache
def _kernel() -> _Kernel:
    return _Kernel()


def _id(name: str, kind: str) -> int:
    found = find_kernel_type(name, kind)
    if found is None or found[0].base is not None:
        raise UnsupportedError(f"this kernel has no {kind} {name}", needs="Linux 6.9")
    return found[1]


def _struct(name: str) -> Struct:
    from skep.btf import kernel_btf

    found: Struct = kernel_btf().type(_id(name, "struct"))  # type: ignore[assignment]
    return found


def _offset(struct_name: str, name: str) -> int:
    for member in _struct(struct_name).members:
        if member.name == name:
            return member.bit_offset // 8
    raise UnsupportedError(f"this kernel's struct {struct_name} has no {name}", needs="Linux 6.9")


@cache
def _cpu_offsets(cpus: int) -> list[int]:
    """For each CPU, how far its copy of a per-CPU value is from the address that the kernel keeps: those of one value tell."""
    address = _struct("bpf_array").size  # pptrs, the array behind it
    with (
        create_map(MapSpec("skep_output", MAP_TYPES["array"], 4, 8 * (cpus + 1), 1), 1, 0) as output,
        create_map(MapSpec("skep_offsets", MAP_TYPES["percpu_array"], 4, 8, 1), cpus, 0) as values,
    ):
        lines = [
            f"ldmapvalue %r6, {output.fd}", "stw [%r10-4], 0",
            f"ldmap %r1, {values.fd}", f"mov32 %r2, {_id('bpf_array', 'struct')}", f"call kernel {_kernel().cast}",
            "mov %r1, %r0", f"add %r1, {address}", f"mov32 %r2, {_kernel().word}", f"call kernel {_kernel().cast}",
            "ldxdw %r0, [%r0+0]", f"stxdw [%r6+{8 * cpus}], %r0",
        ]  # fmt: skip
        for cpu in range(cpus):
            lines += [f"ldmap %r1, {values.fd}", "mov %r2, %r10", "add %r2, -4", f"mov32 %r3, {cpu}",
                      "call 195", f"stxdw [%r6+{8 * cpu}], %r0"]  # fmt: skip  # bpf_map_lookup_percpu_elem
        with load("skep_offsets", "\n".join([*lines, "mov32 %r0, 0", "exit"])) as program:
            program.test_run()
        *places, base = struct.unpack(f"={cpus + 1}Q", output.lookup(bytes(4)) or b"")
        return [(place - base) & (1 << 64) - 1 for place in places]
