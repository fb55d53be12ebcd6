"""struct_ops maps (Linux 5.6): a struct of the kernel's whose functions are programs, registered as the kernel's own would be.

In: a MapSpec with `operations`. Out: a map that registers itself: a link (6.4), or a map update where the kernel has none.
"""

from __future__ import annotations

import errno
import os
import struct
from ctypes import addressof, create_string_buffer

from skep.btf.types import Pointer, Struct
from skep.engine.errnos import ENOTSUPP, errno_text
from skep.engine.kernel import syscall
from skep.engine.kernel.ladder import KernelLink
from skep.engine.kernel.maps import KernelMap, kernel_name
from skep.errors import AttachError, MapError, UnsupportedError
from skep.object.kinds import ATTACH_TYPES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.btf import Btf
    from skep.engine import ProgramHandle
    from skep.object.model import MapSpec

F_LINK = 1 << 13  # registered by links, not by the update
_KEY = bytes(4)
_INIT = 0  # enum bpf_struct_ops_state; the values begin with a reference count and the state, 4 bytes each
_REASONS = {
    errno.EEXIST: "the kernel has one of this name already: ",
    errno.EINVAL: "the kernel does not take these functions and values (is one missing, or not to be set by programs?): ",
    ENOTSUPP: "this kernel does not let programs register it: ",
    errno.EOPNOTSUPP: "this kernel does not let programs register it: ",
}


class StructOpsMap(KernelMap):
    """A map whose one value is the struct as the kernel has it."""

    __slots__ = ("_data_at", "_linked", "_struct")

    def __init__(self, spec: MapSpec, fd: int, possible_cpus: int, layout: Layout) -> None:
        super().__init__(spec, fd, 1, possible_cpus)
        self.value_size = layout.size
        self._data_at = layout.data_at
        self._struct = layout.struct
        self._linked = layout.linked

    def register(self, load: Callable[[str, str, int], ProgramHandle]) -> KernelLink:
        """Give the struct to the kernel; `load` is asked for each program: its name, the kernel's struct, the member's index."""
        state = struct.unpack_from("=I", self.lookup(_KEY) or bytes(8), 4)[0]
        if state == _INIT:
            try:
                self.update(_KEY, self._value(load))
            except MapError as error:
                raise self._refusal(error.errno) from error
        elif not self._linked:
            raise AttachError(
                f"struct_ops {self.name!r} was registered before: without links (Linux 6.4) a map can be registered once; "
                "make a new BPF object"
            )
        name = self._struct.name
        if not self._linked:
            return KernelLink(f"struct_ops {name} (map update)", (), self._unregister(syscall.safe_fd(os.dup(self.fd))))
        attr = create_string_buffer(struct.pack("=IIII", self.fd, 0, ATTACH_TYPES["struct_ops"], 0), 64)
        fd = syscall.bpf(syscall.LINK_CREATE, attr)
        if fd < 0:
            raise self._refusal(-fd)
        return KernelLink(f"struct_ops {name} (bpf link)", (fd,))

    def _refusal(self, number: int) -> AttachError:
        return AttachError(
            f"cannot register struct_ops {self.name!r} ({self._struct.name}): {_REASONS.get(number, '')}{errno_text(number)}"
        )

    @staticmethod
    def _unregister(fd: int) -> Callable[[], None]:
        def unregister() -> None:
            key = create_string_buffer(_KEY, len(_KEY))
            syscall.bpf(syscall.MAP_DELETE_ELEM, create_string_buffer(struct.pack("=IIQQQ", fd, 0, addressof(key), 0, 0), 32))
            os.close(fd)

        return unregister

    def _value(self, load: Callable[[str, str, int], ProgramHandle]) -> bytes:
        """The kernel's struct, filled by the names of its members: bytes, and for functions the fds of their programs."""
        operations = self.spec.operations
        assert operations is not None
        value = bytearray(self.value_size)
        members = {member.name: (index, member) for index, member in enumerate(self._struct.members)}
        btf = _kernel_btf()
        for name, data in operations.members:
            function = operations.functions.get(name)
            if function is None and not any(data):
                continue
            index, member = members.get(name, (-1, None))
            what = f"{self.name}.{name}"
            if member is None:
                raise UnsupportedError(f"{what}: this kernel's {self._struct.name} has no such member", needs="another kernel")
            if member.bit_size or member.bit_offset % 8:
                raise UnsupportedError(f"{what} is a bit-field, which Skep does not set here", needs="a program that sets it")
            at = self._data_at + member.bit_offset // 8
            if function is not None:
                if not isinstance(btf.type(btf.strip(member.type_id)), Pointer):
                    raise UnsupportedError(f"{what} is no function in this kernel", needs="another kernel")
                data = load(function, self._struct.name, index).fd.to_bytes(8, "little")
            elif len(data) != btf.size_of(member.type_id):
                raise UnsupportedError(
                    f"{what} has {len(data)} bytes in the object and {btf.size_of(member.type_id)} in this kernel",
                    needs="another kernel",
                )
            value[at : at + len(data)] = data
        return bytes(value)


class Layout:
    """The value of a struct_ops map: its `size`, the kernel's `struct` in it at `data_at`, and its type's id."""

    __slots__ = ("data_at", "id", "linked", "size", "struct")

    def __init__(self, name: str) -> None:
        btf = _kernel_btf()
        id = btf.find(f"bpf_struct_ops_{name}", "struct")
        value = btf.type(id) if id is not None else None
        data = next((member for member in value.members if member.name == "data"), None) if isinstance(value, Struct) else None
        if id is None or not isinstance(value, Struct) or data is None:
            raise UnsupportedError(
                f"struct {name!r} cannot be filled by programs: this kernel (its modules aside) has no bpf_struct_ops_{name}",
                needs=f"a kernel with struct_ops for {name}",
            )
        found = btf.type(btf.strip(data.type_id))
        assert isinstance(found, Struct)
        self.id = id
        self.size = value.size
        self.data_at = data.bit_offset // 8
        self.struct = found
        self.linked = True


def create(spec: MapSpec, possible_cpus: int, btf_fd: int) -> StructOpsMap:
    """The map for a struct of an object, whose BTF the kernel wants; nothing is registered yet."""
    assert spec.operations is not None
    layout = Layout(spec.operations.type_name)
    fd = -errno.EINVAL
    for flags in (F_LINK, 0):
        attr = create_string_buffer(
            struct.pack(
                "=7I16s5I", spec.type, 4, layout.size, 1, flags, 0, 0, kernel_name(spec.name), 0, btf_fd, 0, 0, layout.id
            ),
            72,
        )
        fd = syscall.bpf(syscall.MAP_CREATE, attr)
        if fd >= 0:
            layout.linked = bool(flags)
            return StructOpsMap(spec, fd, possible_cpus, layout)
        if fd not in (-errno.EINVAL, -ENOTSUPP, -errno.EOPNOTSUPP):
            break
    from skep.engine.kernel.map_errors import create_error

    raise create_error(spec, 1, fd)


def _kernel_btf() -> Btf:
    from skep.btf import kernel_btf

    return kernel_btf()
