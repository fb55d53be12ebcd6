"""The part of class BPF that answers questions: what the kernel has, where files are, what a program was compiled to."""

from __future__ import annotations

from skep.arguments import as_pid, as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from skep.object.model import ProgramSpec

    Text = str | bytes

_PROBE_LIMIT = 1000  # BCC's own default


class Introspection:
    """Base of class BPF, beside `Attaching`."""

    if TYPE_CHECKING:  # what class BPF brings

        def _program(self, name: str) -> ProgramSpec: ...

    @property
    def module(self) -> Introspection:
        """What `bcc.lib`'s functions take for this object."""
        return self

    # The kernel

    @staticmethod
    def kernel_struct_has_field(struct_name: Text, field_name: Text) -> int:
        """1 when a struct of the kernel's has a member, 0 when not, -1 when there is no such struct."""
        from skep.functions import struct_has_field

        return struct_has_field(as_text(struct_name), as_text(field_name))

    @staticmethod
    def kernel_enum_has_val(enum_name: Text, val_name: Text) -> int:
        """1 when an enum of the kernel's (an anonymous one for "") has a name, 0 when not, -1 when there is no such enum."""
        from skep.functions import enum_has_value

        return enum_has_value(as_text(enum_name), as_text(val_name))

    @staticmethod
    def support_kfunc() -> bool:
        """Whether KFUNC_PROBE programs can be attached: the kernel is asked."""
        from skep.functions import can_load

        return can_load("fentry/vfs_read")

    @staticmethod
    def support_fmod_ret() -> bool:
        """Whether KMOD_RET programs can be loaded."""
        from skep.functions import can_load

        return can_load("fmod_ret/security_file_open")

    @staticmethod
    def support_lsm() -> bool:
        """Whether LSM_PROBE programs can be loaded."""
        from skep.functions import can_load

        return can_load("lsm/file_open")

    @staticmethod
    def support_raw_tracepoint() -> bool:
        from skep.functions import can_load

        return can_load("raw_tracepoint/sys_enter")

    @staticmethod
    def support_raw_tracepoint_in_module() -> bool:
        """Whether raw tracepoints of modules can be attached to (Linux 5.0)."""
        from skep.symbols.kallsyms import address_of

        return address_of("bpf_trace_modules") is not None

    @staticmethod
    def get_probe_limit() -> int:
        """How many functions BCC's tools probe at most: $BCC_PROBE_LIMIT or 1000; `attach_*` of Skep's has no limit."""
        import os

        limit = os.environ.get("BCC_PROBE_LIMIT", "")
        return int(limit) if limit.isdecimal() else _PROBE_LIMIT

    @staticmethod
    def monotonic_time() -> int:
        """What `bpf_ktime_get_ns()` gives now: ns since boot, without sleep."""
        import time

        return time.monotonic_ns()

    # Files

    @staticmethod
    def find_library(libname: Text, pid: int = 0) -> bytes | None:
        """The path of a library by its name without "lib", as a process (0: this one) sees it; a path is itself."""
        from skep.symbols.libraries import find_library

        return _encoded(find_library(as_text(libname, "libname"), as_pid(pid)))

    @staticmethod
    def find_exe(bin_path: Text) -> bytes | None:
        """The path of a program by its name, from PATH, or by its path."""
        from skep.symbols.libraries import find_program

        return _encoded(find_program(as_text(bin_path)))

    @staticmethod
    def get_user_functions(name: Text, sym_re: Text) -> set[bytes]:
        """Names of a library's or program's functions that `attach_uprobe(sym_re=)` would take."""
        return {function for function, _ in Introspection.get_user_functions_and_addresses(name, sym_re)}

    @staticmethod
    def get_user_addresses(name: Text, sym_re: Text) -> set[int]:
        return {address for _, address in Introspection.get_user_functions_and_addresses(name, sym_re)}

    @staticmethod
    def get_user_functions_and_addresses(name: Text, sym_re: Text) -> list[tuple[bytes, int]]:
        """(name, address as the file's symbols have it) of functions whose names a regular expression matches at their start."""
        from skep.uprobes import functions

        return [(function.encode(), address) for function, address in functions(as_text(name), as_text(sym_re, "sym_re"))]

    # Programs

    @staticmethod
    def generate_auto_includes(program_words: Iterable[str]) -> str:
        """Nothing: types come from the kernel's BTF, so a program needs no #include for them."""
        return ""

    def dump_func(self, func_name: Text) -> bytes:
        """A program's instructions, 8 bytes each, as they were compiled: maps are not filled in."""
        return self._program(as_text(func_name, "func_name")).instructions

    def disassemble_func(self, func_name: Text) -> str:
        """A program's instructions as text, a line each."""
        from skep.bytecode import disassemble

        name = as_text(func_name, "func_name")
        program = self._program(name)
        symbols = {item.insn: f"<{item.symbol}>" for item in program.relocations}
        return "\n".join([f"Disassemble of BPF program {name.encode()!r}:", *disassemble(program.instructions, symbols)])

    @staticmethod
    def free_bcc_memory() -> int:
        """Nothing: the compiler is a process of its own, and leaves no memory behind."""
        return 0

    @staticmethod
    def add_module(modname: Text) -> None:
        """Have `sym()` know the functions of a file by its build id, for stacks with BPF_F_STACK_BUILD_ID."""
        from skep.symbols import build_ids

        build_ids.add(as_text(modname))


def _encoded(path: str | None) -> bytes | None:
    return None if path is None else path.encode("utf-8", "surrogateescape")
