"""What a program's instructions name outside of it: maps by fd, the kernel's and its modules' functions and variables by BTF id.

In: ProgramSpec, live maps. Out: instructions to load, the BTF of the modules that they name, what a program is bound to.
"""

from __future__ import annotations

import os
import struct
from ctypes import addressof, create_string_buffer

from skep.engine.errnos import errno_text
from skep.engine.kernel import syscall
from skep.errors import ObjectError, PrivilegeError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from skep.btf import Btf
    from skep.engine import MapHandle
    from skep.object.model import ProgramKind, ProgramSpec, Relocation

_PSEUDO = {"map": 1, "map_value": 2}
_PSEUDO_KFUNC_CALL, _PSEUDO_BTF_ID = 2, 3
_LOAD_64 = 0x18
_BTF_KINDS = {"kfunc": "func", "kfunc_id": "func", "ksym": "var"}
_WORDS = {"func": "function", "var": "variable", "typedef": "tracepoint", "struct": "struct"}
# libbpf's: a call that the verifier must never reach, and whose number tells what was missing
_MISSING_CALL = 2_002_000_000


class Relocated:
    """`code` is ready to load; `modules` are the fds of modules' BTF, by their place in the load's fd_array (0: the kernel's)."""

    __slots__ = ("_by_name", "code", "modules")

    def __init__(self, spec: ProgramSpec, maps: Mapping[str, MapHandle]) -> None:
        self.code = bytearray(spec.instructions)
        self.modules: list[int] = []
        self._by_name: dict[str, int] = {}
        try:
            for number, relocation in enumerate(spec.relocations):
                self._apply(spec, relocation, number, maps)
        except BaseException:
            self.close()
            raise

    def _apply(self, spec: ProgramSpec, relocation: Relocation, number: int, maps: Mapping[str, MapHandle]) -> None:
        at = relocation.insn * 8
        code = self.code
        if at + 8 > len(code):
            raise ObjectError(f"program {spec.name!r}: a relocation points at insn {relocation.insn}, past its end")
        if relocation.kind == "kfunc":
            self._call(spec, relocation, at, number)
            return
        if code[at] != _LOAD_64:
            raise ObjectError(f"program {spec.name!r}: relocation {relocation!r} does not fit insn {relocation.insn}")
        source, low, high = self._load(spec, relocation, maps)
        code[at + 1] = code[at + 1] & 0x0F | source << 4
        struct.pack_into("=I", code, at + 4, low & 0xFFFFFFFF)
        struct.pack_into("=I", code, at + 12, high & 0xFFFFFFFF)

    def _load(self, spec: ProgramSpec, relocation: Relocation, maps: Mapping[str, MapHandle]) -> tuple[int, int, int]:
        """(source register, lower and upper half) of a 64-bit load."""
        if relocation.kind in _PSEUDO:
            handle = maps.get(relocation.symbol)
            if handle is None:
                raise ObjectError(f"program {spec.name!r} uses map {relocation.symbol!r}, which was not created")
            return _PSEUDO[relocation.kind], handle.fd, relocation.offset if relocation.kind == "map_value" else 0
        if relocation.kind == "ksym_address":
            address = self._address(spec, relocation)
            return 0, address, address >> 32
        found = find_kernel_type(relocation.symbol, _BTF_KINDS[relocation.kind])
        if found is None:
            return 0, *self._missing(spec, relocation)
        btf, id = found
        return _PSEUDO_BTF_ID, id, self._module(btf) if btf.base is not None else 0

    @staticmethod
    def _address(spec: ProgramSpec, relocation: Relocation) -> int:
        from skep.symbols.kallsyms import address_of

        address = address_of(relocation.symbol)
        if address is None and not relocation.weak:
            raise UnsupportedError(
                f"program {spec.name!r} takes the address of the kernel's {relocation.symbol!r}, which is not in /proc/kallsyms",
                needs="another kernel, or __weak and bpf_ksym_exists()",
            )
        return 0 if address is None else address + relocation.offset

    @staticmethod
    def _missing(spec: ProgramSpec, relocation: Relocation) -> tuple[int, int]:
        if relocation.weak:
            return 0, 0
        what = _WORDS[_BTF_KINDS[relocation.kind]]
        raise UnsupportedError(
            f"program {spec.name!r} {'calls' if relocation.kind == 'kfunc' else 'names'} the kernel {what} "
            f"{relocation.symbol!r}, which this kernel does not have",
            needs="another kernel, or __weak and bpf_ksym_exists()",
        )

    def _call(self, spec: ProgramSpec, relocation: Relocation, at: int, number: int) -> None:
        found = find_kernel_type(relocation.symbol, "func")
        source, place, id = 0, 0, _MISSING_CALL + number
        if found is None:
            self._missing(spec, relocation)
        else:
            btf, id = found
            source = _PSEUDO_KFUNC_CALL
            if btf.base is not None:
                place = self.modules.index(self._module(btf)) + 1
        self.code[at + 1] = self.code[at + 1] & 0x0F | source << 4
        struct.pack_into("=hi", self.code, at + 2, place, id)

    def _module(self, btf: Btf) -> int:
        fd = self._by_name.get(btf.module)
        if fd is None:
            fd = self._by_name[btf.module] = module_btf_fd(btf.module)
            self.modules.append(fd)
        return fd

    def close(self) -> None:
        """Close the modules' BTF: a loaded program holds it itself."""
        fds, self.modules = self.modules, []
        syscall.close_all(fds)


class Target:
    """What a program is bound to at load: `id` in the kernel's BTF or, with `fd`, in a module's."""

    __slots__ = ("fd", "id")

    def __init__(self, kind: ProgramKind) -> None:
        self.id = self.fd = 0
        if not kind.target:
            return
        name = kind.target
        btf_kind = "struct" if kind.context == "struct_ops" else "typedef" if name.startswith("btf_trace_") else "func"
        found = find_kernel_type(name, btf_kind)
        if found is None:
            raise UnsupportedError(
                f"{kind.name}: neither the kernel's BTF nor a loaded module's has a {_WORDS[btf_kind]} {name!r}, so no program "
                "can be bound to it",
                needs="another target",
            )
        btf, self.id = found
        if btf.base is not None:
            self.fd = module_btf_fd(btf.module)

    def close(self) -> None:
        fd, self.fd = self.fd, 0
        if fd:
            os.close(fd)


def find_kernel_type(name: str, kind: str) -> tuple[Btf, int] | None:
    """The BTF and the id in it of a name ("MODULE:name" asks that module alone): the kernel's, else a module's."""
    from skep.btf import kernel_btf, module_btfs

    module, parted, bare = name.rpartition(":")
    if not parted or module == "vmlinux":
        btf = kernel_btf()
        id = btf.find(bare, kind)
        if id is not None:
            return btf, id
        if parted:
            return None
    for btf in module_btfs(bare, only=module):
        id = btf.find(bare, kind)
        if id is not None and id >= btf.first_id:
            return btf, id
    return None


def module_btf_fd(module: str) -> int:
    """An fd of a loaded module's BTF (5.11): the kernel finds them by id alone, so all are looked at."""
    id = 0
    while True:
        attr = create_string_buffer(struct.pack("=II", id, 0), 16)
        result = syscall.bpf(syscall.BTF_GET_NEXT_ID, attr)
        if result < 0:
            break
        id = struct.unpack_from("=I", attr, 4)[0]
        fd = syscall.bpf(syscall.BTF_GET_FD_BY_ID, create_string_buffer(struct.pack("=I", id), 16))
        if fd < 0:
            result = fd
            continue  # gone since, or not permitted
        if _btf_name(fd) == module:
            return fd
        os.close(fd)
    text = f"the BTF of the kernel module {module!r} cannot be opened: {errno_text(result)}"
    if os.geteuid() != 0:
        raise PrivilegeError(text, missing=["CAP_SYS_ADMIN"])
    raise UnsupportedError(text, needs="the module, loaded")


def _btf_name(fd: int) -> str:
    """The name of a BTF object, "vmlinux" or a module's; an empty one for those of programs."""
    name = create_string_buffer(64)
    info = syscall.object_info(fd, 32, struct.pack("=QIIQII", 0, 0, 0, addressof(name), len(name), 0))
    if isinstance(info, int) or not struct.unpack_from("=I", info, 28)[0]:  # kernel_btf
        return ""
    return name.value.decode("utf-8", "replace")
