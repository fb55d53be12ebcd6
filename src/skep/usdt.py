"""BCC's USDT: probes that programs and libraries carry for tracers. Which are enabled, C that reads their arguments, uprobes."""

from __future__ import annotations

import os
import sys

from skep.arguments import as_number, as_text, near
from skep.engine import Hook
from skep.errors import SkepError
from skep.symbols.libraries import find_binary
from skep.symbols.usdt import Place, Probe, probes
from skep.uprobes import target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, TypeVar

    from skep.symbols.usdt import Argument

    Found = TypeVar("Found")

    Text = str | bytes


class USDTException(SkepError):
    """A probe that is not there, or not to be used."""


def _numbered(found: Sequence[Found], index: int, what: str, owner: object) -> Found:
    number = as_number(index, f"the number of {what}s")
    if number >= len(found):
        raise USDTException(f"{owner} has no {what} {number}; there are {len(found)}, counted from 0")
    return found[number]


class USDTProbeLocation:
    """One place of a probe in its program."""

    def __init__(self, probe: Probe, index: int) -> None:
        self._place = probe.places[index]
        self.index = index
        self.num_arguments = len(self._place.arguments)
        self.address = self._place.address
        self.bin_path = probe.binary.path.encode()

    def get_argument(self, index: int) -> Argument:
        """Where an argument is at this place: `.size` in bytes, `.signed`; as text the note's own words."""
        return _numbered(self._place.arguments, index, "argument", self)

    def __str__(self) -> str:
        return f"{os.fsdecode(self.bin_path)} {self.address:#x}"


class USDTProbe:
    """A probe, as `USDT.enumerate_probes` gives them; names are bytes."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self.provider = probe.provider.encode()
        self.name = probe.name.encode()
        self.bin_path = probe.binary.path.encode()
        self.semaphore = probe.semaphore
        self.num_locations = len(probe.places)
        self.num_arguments = len(probe.places[0].arguments)

    def get_location(self, index: int) -> USDTProbeLocation:
        _numbered(self._probe.places, index, "location", self)
        return USDTProbeLocation(self._probe, index)

    def short_name(self) -> str:
        return str(self._probe)

    def __str__(self) -> str:
        plural = "s" * (self.num_locations != 1)
        return f"{os.fsdecode(self.bin_path)} {self._probe} [sema {self.semaphore:#x}]\n  {self.num_locations} location{plural}"


class USDT:
    """The probes of a process (`pid`), or of a program or library (`path`), or of one of a process's (both).

    Goes to `BPF(usdt_contexts=[...])` after `enable_probe`.
    """

    def __init__(self, pid: int | None = None, path: Text | None = None) -> None:
        number = -1 if pid is None else as_number(pid, "pid", -(1 << 31), (1 << 31) - 1)
        self.pid = number if number > 0 else -1
        self.path = as_text(path, "path") if path else ""
        if self.pid < 0 and not self.path:
            raise USDTException("USDT(): give pid= or path=, the process or the program that has the probes")
        paths = [find_binary(self.path, self.pid)] if self.path else _mapped(self.pid)
        self.probes = [probe for found in paths for probe in probes(found)]
        self.enabled: list[tuple[Probe, str]] = []

    def enable_probe(self, probe: Text, fn_name: Text) -> None:
        """Run `fn_name` at a probe, "name" or "provider:name"; USDTException when there is none, or more than one."""
        function = as_text(fn_name, "fn_name")
        if not (function.isascii() and function.isidentifier()):
            raise USDTException(f"fn_name={function!r} cannot be the name of a function")
        self.enabled.append((self._find(as_text(probe, "probe")), function))

    def enable_probe_or_bail(self, probe: Text, fn_name: Text) -> None:
        """The same; a probe that is not there ends the program with a message."""
        try:
            self.enable_probe(probe, fn_name)
        except USDTException as error:
            print(error, file=sys.stderr)
            sys.exit(1)

    def _find(self, wanted: str) -> Probe:
        provider, parted, name = wanted.rpartition(":")
        found = [p for p in self.probes if p.name == name and (not parted or p.provider == provider)]
        where = f"process {self.pid}" if self.pid > 0 else self.path
        if not found:
            raise USDTException(f"there is no USDT probe {wanted!r} in {where}{near(name, [p.name for p in self.probes])}")
        if len({p.provider for p in found}) > 1:
            raise USDTException(f"{where} has several probes {wanted!r}: name one of {', '.join(map(str, found))}")
        return found[0]

    def enumerate_probes(self) -> list[USDTProbe]:
        return [USDTProbe(probe) for probe in self.probes]

    def enumerate_active_probes(self) -> list[tuple[bytes, bytes, int, int]]:
        """(file, function, address, process or -1) of each enabled place."""
        return [
            (probe.binary.path.encode(), function.encode(), place.address, self.pid)
            for probe, function in self.enabled
            for place in probe.places
        ]

    def get_probe_arg_ctype(self, probe_name: Text, arg_index: int) -> str:
        """The C type of a probe's argument, counted from 0."""
        arguments = self._find(as_text(probe_name)).places[0].arguments
        return _numbered(arguments, arg_index, "argument", as_text(probe_name)).c_type

    def get_text(self) -> bytes:
        """The C that reads the arguments of the enabled probes."""
        return readers([self]).encode()

    def get_context(self) -> USDT:
        return self

    def attach_uprobes(self, bpf: Any, attach_usdt_ignore_pid: bool = False) -> None:
        """Put the programs on their probes, for this process alone where there is one."""
        attach([self], bpf, attach_usdt_ignore_pid)


def _mapped(pid: int) -> list[str]:
    """The files that a process runs code of."""
    try:
        with open(f"/proc/{pid}/maps") as maps:
            rows = [fields for line in maps if len(fields := line.split(None, 5)) == 6 and "x" in fields[1]]
    except OSError as error:
        raise USDTException(f"process {pid} cannot be looked at: {error.strerror}") from error
    names = dict.fromkeys(row[5].rstrip("\n") for row in rows)
    return [find_binary(name, pid) for name in names if name.startswith("/") and os.path.exists(f"/proc/{pid}/root{name}")]


def _places(contexts: Iterable[USDT]) -> dict[str, list[tuple[USDT, Probe, Place]]]:
    """All places by function; a program knows which it is at by the number in this list, its uprobe's cookie."""
    found: dict[str, list[tuple[USDT, Probe, Place]]] = {}
    if not isinstance(contexts, (list, tuple)):
        raise SkepError(f"usdt_contexts is a list of USDT(...) objects, not {contexts!r}")
    for context in contexts:
        if not isinstance(context, USDT):
            raise SkepError(f"usdt_contexts holds USDT(...) objects, not {type(context).__name__} {context!r}")
        for probe, function in context.enabled:
            found.setdefault(function, []).extend([(context, probe, place) for place in probe.places])
    return found


def readers(contexts: Iterable[USDT]) -> str:
    """A function _bpf_readarg_FUNCTION_N for each argument: it fills memory of the argument's size and gives 0, or -1.

    The size is the largest that the argument has at any of the probe's places.
    """
    texts = []
    for function, places in _places(contexts).items():
        for number in range(max((len(place.arguments) for _, _, place in places), default=0)):
            by_text: dict[tuple[str | None, str, bool], list[int]] = {}
            for cookie, (_, _, place) in enumerate(places):
                if number < len(place.arguments):
                    argument = place.arguments[number]
                    by_text.setdefault((argument.expression, argument.c_type, argument.memory), []).append(cookie)
            widest = max((place.arguments[number] for _, _, place in places if number < len(place.arguments)), key=_size).c_type
            body = []
            for (expression, type, memory), cookies in by_text.items():
                condition = "" if len(by_text) == 1 else " || ".join(f"_at == {cookie}" for cookie in cookies)
                body.append(_reader(expression, type, widest, memory, condition))
            at = "unsigned long _at = bpf_get_attach_cookie(ctx); " if len(by_text) > 1 else ""
            texts.append(
                f"static __always_inline int _bpf_readarg_{function}_{number + 1}"
                f"(struct pt_regs *ctx, void *to, unsigned long size) {{ {at}{' '.join(body)} return -1; }}"
            )
    return "\n".join(texts)


def _size(argument: Argument) -> int:
    return argument.size


def _reader(expression: str | None, type: str, widest: str, memory: bool, condition: str) -> str:
    test = f"if ({condition}) " if condition else ""
    if expression is None:
        return f"{test}{{ return -1; }}"
    if memory:
        take = f"{type} _v = 0; bpf_probe_read_user(&_v, sizeof(_v), (const void *){expression});"
    else:
        take = f"{type} _v = ({type}){expression};"
    take += f" {widest} _wide = _v;"
    return f"{test}{{ {take} if (size != sizeof(_wide)) return -1; __builtin_memcpy(to, &_wide, sizeof(_wide)); return 0; }}"


def prefix(contexts: Iterable[USDT], file: str) -> str:
    """What goes before a text; the text's own lines keep their numbers."""
    text = readers(contexts)
    return f'{text}\n#line 1 "{file}"\n' if text else ""


def attach(contexts: Iterable[USDT], bpf: Any, ignore_pid: bool) -> None:
    """Attach all enabled probes; the kernel counts the semaphore of each up while its program is there (Linux 4.20)."""
    for function, places in _places(contexts).items():
        for cookie, (context, probe, place) in enumerate(places):
            options = {"cookie": cookie} if len(places) > 1 else {}
            if probe.semaphore:
                options["semaphore"] = probe.binary.file_offset(probe.semaphore)
            pid = -1 if ignore_pid else context.pid
            bpf._attach(Hook("uprobe", target(probe.binary, place.address, pid), **options), function)
