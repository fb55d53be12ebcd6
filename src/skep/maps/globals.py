"""Global variables of an object by name: what `BPF.globals` is.

In: the live maps of the data sections and their BTF. Out: Python values, ctypes objects and numpy arrays in the maps' memory.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
from _collections_abc import MutableMapping

from skep.arguments import as_text, near
from skep.btf import ctypes_type
from skep.btf.types import Array, Const, DataSec, Typedef, TypeTag, Var, Volatile
from skep.errors import MapError, MapKeyError
from skep.maps.codec import Codec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    import numpy

    from skep.btf import Btf
    from skep.engine import MapHandle

    _Variables = MutableMapping[Any, Any]
else:
    _Variables = MutableMapping

_INDEX = bytes(4)  # a section is the first and only element of its map
_HIDDEN = "__skep_"  # variables that Skep's compiler adds
_MAP_FIXED = 0x10  # mmap(2); the module mmap has no name for it
_AGGREGATES = (ctypes.Structure, ctypes.Union, ctypes.Array)


class Globals(_Variables):
    """The variables of all data sections: numbers as Python values, arrays and structs as ctypes objects.

    What either side writes, the other sees, also in parts: `globals["table"][3] = 7`. `x += 1` is a read and a write: what a
    program writes in between is lost. `.rodata` can be written until the first program is loaded.
    A function's static variable is "function.name"; variables that share a name are "name@section" or "name@section+offset".
    """

    def __init__(self, btf: Btf | None, handles: Iterable[MapHandle]) -> None:
        self._sections: dict[str, Section] = {}
        self._variables: dict[str, Variable] = {}
        self._reasons: dict[str, str] = {}  # why a name is not there
        found: dict[str, list[Variable]] = {}
        for handle in handles:
            section = self._sections[handle.spec.name] = Section(handle)
            if btf is not None and handle.spec.value_type:
                for variable in self._read(btf, section):
                    found.setdefault(variable.name, []).append(variable)
        for name, same in found.items():
            if len(same) > 1:
                apart = len({variable.section for variable in same}) == len(same)
                for variable in same:
                    variable.name = f"{name}@{variable.section.name}" + ("" if apart else f"+{variable.offset}")
                names = ", ".join(variable.name for variable in same)
                self._reasons[name] = f"{len(same)} variables have the name {name!r}; say which one: {names}"
            self._variables.update({variable.name: variable for variable in same})

    def _read(self, btf: Btf, section: Section) -> Iterator[Variable]:
        """The variables of a section. A static variable is named by its symbol, to which LLVM and Skep add numbers."""
        rows = btf.type(section.type_id)
        assert isinstance(rows, DataSec)
        for id, offset, size in rows.vars:
            var = btf.type(id)
            if not isinstance(var, Var):
                continue
            name = _without_numbers(var.name)
            if size < btf.size_of(var.target) or offset + size > section.size:
                self._reasons[name] = (
                    f"variable {name!r} is not there as a whole: the compiler took it apart; declare it volatile"
                )
            else:
                yield Variable(name, section, offset, btf, var.target)

    def __getitem__(self, name: str | bytes) -> Any:
        return self._variable(name).get()

    def __setitem__(self, name: str | bytes, value: Any) -> None:
        self._variable(name).set(value)

    def __delitem__(self, name: str | bytes) -> None:
        raise MapError(f"variable {as_text(name)!r} is a part of the program and cannot be removed")

    def __contains__(self, name: object) -> bool:
        return isinstance(name, (str, bytes)) and as_text(name) in self._variables

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._variables if not name.startswith(_HIDDEN))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<global variables: {', '.join(self) or 'none'}>"

    def to_numpy(self, name: str | bytes) -> numpy.ndarray[Any, Any]:
        """A variable as an array in the programs' memory, of the variable's shape: () for one number or struct.

        A variable in .rodata comes as a copy that cannot be written, and so does any before Linux 5.5.
        """
        return self._variable(name).to_numpy()

    def frozen(self, section: str) -> None:
        """The kernel has frozen this section's map."""
        self._sections[section].frozen = True

    def close(self) -> None:
        """Give the memory back. ctypes objects and arrays that are still there keep the last values."""
        sections, self._sections, self._variables = self._sections, {}, {}
        for section in sections.values():
            section.close()

    def _variable(self, name: str | bytes) -> Variable:
        name = as_text(name, "a variable's name")
        found = self._variables.get(name)
        if found is None:
            reason = self._reasons.get(name) or f"there is no global variable {name!r}{near(name, list(self))}"
            raise MapKeyError(reason)
        return found


class Section:
    """One data section: its map, and its bytes here.

    `.data` and `.bss` are the map's own memory. `.rodata` cannot be (bpf_map_mmap refuses to map BPF_F_RDONLY_PROG for
    writing), nor anything before Linux 5.5: those are a copy, read before it is looked at and written back after a change.
    """

    __slots__ = ("_bytes", "_handle", "constant", "frozen", "name", "size", "type_id")

    def __init__(self, handle: MapHandle) -> None:
        spec = handle.spec
        self.name = spec.name
        self.size = spec.value_size
        self.type_id = spec.value_type
        self.constant = spec.frozen
        self.frozen = False
        self._handle: MapHandle | None = handle
        self._bytes: mmap.mmap | bytearray | None = None

    def memory(self) -> mmap.mmap | bytearray:
        """The section's bytes as they are now."""
        if self._bytes is None:
            assert self._handle is not None
            self._bytes = self._map(self._handle) or bytearray(self.size)
        self.refresh()
        return self._bytes

    def _map(self, handle: MapHandle) -> mmap.mmap | None:
        try:
            return None if self.constant else handle.memory(writable=True)
        except PermissionError:  # another object's, and frozen
            self.frozen = True
        except MapError as error:
            if error.errno != errno.ENODEV:  # a kernel before 5.5
                raise
        return None

    @property
    def shared(self) -> bool:
        """Whether `memory()` is what programs read and write."""
        return isinstance(self.memory(), mmap.mmap)

    def refresh(self) -> None:
        """Bring a copy up to date."""
        if isinstance(self._bytes, bytearray) and self._handle is not None:
            self._bytes[:] = self._handle.lookup(_INDEX) or bytes(self.size)

    def store(self) -> None:
        """Write a copy back."""
        if isinstance(self._bytes, bytearray) and self._handle is not None:
            self._handle.update(_INDEX, bytes(self._bytes))

    def check(self, name: str) -> None:
        """MapError when the section cannot be written (any more)."""
        if self._handle is None:
            raise MapError(f"variable {name!r}: the BPF object is closed", errno=errno.EBADF, map_name=self.name)
        if self.frozen:
            raise MapError(
                f"variable {name!r} is in {self.name}, which is constant since the first program was loaded: "
                f"set it by BPF(..., globals={{{name!r}: ...}}) or before the first program loads",
                errno=errno.EPERM,
                map_name=self.name,
            )

    def close(self) -> None:
        memory, self._bytes, self._handle = self._bytes, None, None
        if isinstance(memory, mmap.mmap):
            try:
                memory.close()
            except BufferError:  # something looks at it
                _detach(memory)


class Variable:
    """One variable: its type, and where it is."""

    __slots__ = ("_btf", "_codec", "_type_id", "name", "offset", "section")

    def __init__(self, name: str, section: Section, offset: int, btf: Btf, type_id: int) -> None:
        self.name = name
        self.section = section
        self.offset = offset
        self._btf = btf
        self._type_id = type_id
        self._codec: _VariableCodec | None = None

    @property
    def codec(self) -> _VariableCodec:
        if self._codec is None:
            ctype = ctypes_type(self._btf, self._type_id)
            self._codec = _VariableCodec(ctype, ctypes.sizeof(ctype), self.section.name, self.name)
        return self._codec

    def get(self) -> Any:
        ctype, section = self.codec.ctype, self.section
        if self.codec.letter:
            return ctype.from_buffer(section.memory(), self.offset).value
        if not section.shared:
            ctype = _guarded(ctype, section, self.name)
        return ctype.from_buffer(section.memory(), self.offset)

    def set(self, value: Any) -> None:
        codec, section = self.codec, self.section
        if _in_code(self._btf, self._type_id):
            raise MapError(
                f"variable {self.name!r} is const, so the compiler has put its value into the code; "
                "declare it const volatile, then it can be set before the first program loads",
                map_name=section.name,
            )
        section.check(self.name)
        data = codec.pack(value)
        memory = section.memory()
        if codec.letter:  # one store, which a program never sees half of
            codec.ctype.from_buffer(memory, self.offset).value = codec.unpack(data).value
        else:
            memory[self.offset : self.offset + len(data)] = data
        section.store()

    def to_numpy(self) -> numpy.ndarray[Any, Any]:
        import numpy

        from skep.maps.dtypes import dtype_of

        dtype, section = dtype_of(self.codec.ctype), self.section
        if not dtype.itemsize:
            return numpy.zeros((), dtype)
        memory = section.memory() if section.shared else bytes(section.memory())  # numpy does not write into bytes
        count = dtype.itemsize // dtype.base.itemsize
        return numpy.frombuffer(memory, dtype.base, count, self.offset).reshape(dtype.shape)


class _VariableCodec(Codec):
    """Packs a variable; `side` is its name. numpy's numbers and arrays are taken as well."""

    __slots__ = ()

    def pack(self, value: Any) -> bytes:
        if hasattr(value, "tolist") and not isinstance(value, memoryview):
            value = value.tolist()
        if self.letter == "?" and isinstance(value, int):
            if value not in (0, 1):
                raise self._error(f"int {value}")
            value = bool(value)
        return super().pack(value)

    def _place(self) -> str:
        return f"variable {self.side!r}"


def _without_numbers(name: str) -> str:
    """`f.count` for `f.count.2`."""
    head, dot, number = name.rpartition(".")
    return _without_numbers(head) if dot and number.isdigit() else name


def _in_code(btf: Btf, type_id: int) -> bool:
    """Whether the type is const and not volatile: what it is set to now, code that was compiled before does not read."""
    const = False
    found = btf.type(type_id)
    while isinstance(found, (Typedef, Const, Volatile, TypeTag, Array)):
        if isinstance(found, Volatile):
            return False
        const = const or isinstance(found, Const)
        found = btf.type(found.element if isinstance(found, Array) else found.target)
    return const


def _guarded(ctype: Any, section: Section, name: str) -> Any:
    """A subclass of a struct, union or array type for a section that is a copy: its objects, and all parts of them, are
    brought up to date before they are read, and written back after they are written."""

    def part(value: Any) -> Any:
        if isinstance(value, list):  # a slice of an array
            return [part(one) for one in value]
        return _guarded(type(value), section, name).from_buffer(value) if isinstance(value, _AGGREGATES) else value

    def reading(read: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def guarded(self: Any, place: Any) -> Any:
            section.refresh()
            return part(read(self, place))

        return guarded

    def writing(write: Callable[[Any, Any, Any], None]) -> Callable[[Any, Any, Any], None]:
        def guarded(self: Any, place: Any, value: Any) -> None:
            section.check(name)
            section.refresh()
            write(self, place, value)
            section.store()

        return guarded

    members: dict[str, Any] = {
        "__getattribute__": reading(ctype.__getattribute__),
        "__setattr__": writing(ctype.__setattr__),
    }
    if issubclass(ctype, ctypes.Array):
        members.update(__getitem__=reading(ctype.__getitem__), __setitem__=writing(ctype.__setitem__))
    return type(ctype.__name__, (ctype,), members)


def _detach(memory: mmap.mmap) -> None:
    """Put a private copy in the place of a map's pages: what looks at the addresses sees the last values, and no map."""
    contents = memory[:]
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    call = ctypes.CDLL(None, use_errno=True)["mmap"]
    call.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
    call.restype = ctypes.c_void_p
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED
    if call(address, len(memory), mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0) != address:
        raise MemoryError(f"mmap of {len(memory)} bytes: errno {ctypes.get_errno()}")
    memory[:] = contents
