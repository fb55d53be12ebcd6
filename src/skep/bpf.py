"""class BPF: one C text from source to detach, with BCC's names and meaning. It orchestrates and holds no mechanism.

In: C text (or an Object), calls of BCC's interface. Out: loaded programs, live maps, links, events.
"""

from __future__ import annotations

import atexit
import os
import sys
from _weakref import ref

from skep.buffers.poller import Poller
from skep.engine import Hook
from skep.errors import AttachError, MapKeyError, PrivilegeError, SkepError, UnsupportedError
from skep.interrupts import Uninterrupted
from skep.object.model import Object, ProgramKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from skep.engine import Engine, Link, MapHandle, ProgramHandle
    from skep.maps.table import Table
    from skep.object.model import ProgramSpec

    Text = str | bytes

# The hook families that a program's name or section attaches by itself at construction
_AUTOLOAD = {
    "kprobe": "kprobe", "kretprobe": "kretprobe", "tracepoint": "tracepoint", "tp": "tracepoint",
    "raw_tracepoint": "raw_tracepoint", "raw_tp": "raw_tracepoint",
}  # fmt: skip
_DEFAULT_CONTEXT = "kprobe"  # what the compiler takes a context for when neither name nor section says more

# What BCC's BPF has and this one does not, by the ends of the names
_NOT_YET = ("uprobe", "uretprobe", "perf_event", "xdp", "kfunc", "kretfunc", "lsm", "sym", "symname", "raw_socket")

_LINES_AT_ONCE = 500  # of trace_pipe, when more come without an end


class LoadedFunction:
    """A loaded program, as `load_func` returns it."""

    __slots__ = ("bpf", "handle", "name")

    def __init__(self, bpf: BPF, name: str, handle: ProgramHandle) -> None:
        self.bpf = bpf
        self.name = name.encode()
        self.handle = handle

    @property
    def fd(self) -> int:
        return self.handle.fd


class Attachment:
    """A program on a hook: `how` names the way that the engine took, `hook` the place, `function` the program."""

    __slots__ = ("function", "hook", "link")

    def __init__(self, hook: Hook, function: str, link: Link) -> None:
        self.hook = hook
        self.function = function
        self.link = link

    @property
    def how(self) -> str:
        return self.link.how

    def close(self) -> None:
        self.link.close()

    def __repr__(self) -> str:
        return f"<{self.function} on {self.hook}: {self.how}>"


class BPF:
    """Compiles a text, makes its maps, loads and attaches its programs, and takes all of it away again.

    A context manager; what is not closed by hand is closed when the object goes or the process ends. Names may be str or bytes.
    `engine` is "kernel", "user" or "auto" (default: SKEP_ENGINE, else auto). `object` takes a compiled Object in place of a text.
    """

    SOCKET_FILTER, KPROBE, SCHED_CLS, SCHED_ACT, TRACEPOINT, XDP, PERF_EVENT = range(1, 8)
    CGROUP_SKB, CGROUP_SOCK, LWT_IN, LWT_OUT, LWT_XMIT, SOCK_OPS, SK_SKB, CGROUP_DEVICE, SK_MSG = range(8, 17)
    RAW_TRACEPOINT, CGROUP_SOCK_ADDR = 17, 18
    TRACING, LSM = 26, 29
    XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT = range(5)

    Function = LoadedFunction

    def __init__(
        self,
        src_file: Text = "",
        hdr_file: Text = "",
        text: Text | None = None,
        debug: int = 0,
        cflags: Sequence[Text] = (),
        usdt_contexts: Sequence[Any] = (),
        allow_rlimit: bool = True,
        device: Text | None = None,
        attach_usdt_ignore_pid: bool = False,
        *,
        engine: str | None = None,
        object: Object | None = None,
    ) -> None:
        self._attachments: dict[tuple[str, str], list[Attachment]] = {}
        self._programs: dict[tuple[str, ProgramKind], ProgramHandle] = {}
        self._maps: dict[str, MapHandle] = {}
        self._tables: dict[str, Any] = {}
        self._opened_engine: Engine | None = None
        self._trace_pipe: Any = None
        self._at_exit: Callable[[], None] | None = None
        self.funcs: dict[bytes, LoadedFunction] = {}
        self.debug = debug
        self.perf_buffers = Poller("perf buffer", 'b["name"].open_perf_buffer(callback)')
        self.ring_buffers = Poller("ring buffer", 'b["name"].open_ring_buffer(callback)')
        if hdr_file:
            raise UnsupportedError(f"hdr_file={_str(hdr_file)!r}: not there; #include it in the text", needs="an #include")
        if usdt_contexts:
            raise UnsupportedError("usdt_contexts: this Skep has no USDT probes yet", needs="a newer Skep")
        if device is not None:
            raise UnsupportedError(f"device={_str(device)!r}: programs cannot be loaded into network hardware", needs="BCC")
        if isinstance(cflags, (str, bytes)):
            raise SkepError(f"BPF(cflags={cflags!r}): cflags is a list of flags, such as [{_str(cflags)!r}]")
        self._cflags = [_str(flag, "a flag of cflags") for flag in cflags]
        if object is None:
            self._text, self._file = _source(_str(src_file, "src_file"), text)
        elif not isinstance(object, Object):
            raise SkepError(f"BPF(object=...) takes what skep.compile() or skep.load_object() gives, not {type(object).__name__}")
        elif text is not None or src_file:
            raise SkepError("BPF(...): give text, src_file or object, and only one of them")
        else:
            self._text = self._file = ""
        self.engine = self._opened_engine = open_engine(engine)
        try:
            if object is None:
                from skep.build import build

                object = build(self._text, file=self._file, cflags=self._cflags)
            self.object = object
            with Uninterrupted():
                for spec in object.maps.values():
                    self._maps[spec.name] = self.engine.create_map(spec, object)
            me = ref(self)
            self._at_exit = lambda: _close_at_exit(me)
            atexit.register(self._at_exit)
            self._fill_maps()
            for program in object.programs.values():
                hook = self._autoload_hook(program)
                if hook is not None:
                    self._attach(hook, program.name)
        except BaseException:
            self.cleanup()
            raise

    def _fill_maps(self) -> None:
        """Put in what the text declares as the values of maps of maps and of program arrays."""
        for spec in self.object.maps.values():
            for index, name in spec.values:
                value: MapHandle | ProgramHandle | None = self._maps.get(name)
                if value is None:
                    kind = self._program(name).kind
                    if kind is None:
                        raise SkepError(f"map {spec.name!r}: the kind of its program {name!r} is not known; give it a SEC()")
                    value = self._load(name, kind)
                self._maps[spec.name].update(index.to_bytes(4, sys.byteorder), value.fd.to_bytes(4, sys.byteorder))

    # Maps

    def get_table(
        self, name: Text, keytype: Any = None, leaftype: Any = None, reducer: Callable[[Any, Any], Any] | None = None
    ) -> Any:
        """The view of a map, made anew; `keytype` and `leaftype` are ctypes types to use in place of the program's."""
        from skep.maps import open_view

        name = _str(name, "a map's name")
        handle = self._maps.get(name)
        if handle is None:
            self._require_open()
            raise MapKeyError(f"there is no map {name!r}{_near(name, self._maps)}", map_name=name)
        table: Any = open_view(handle, self, key_type=keytype, leaf_type=leaftype)
        if reducer is not None:
            table.reducer = reducer
        return table

    def __getitem__(self, name: Text) -> Any:
        name = _str(name, "a map's name")
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = self.get_table(name)
        return table

    def __setitem__(self, name: Text, table: Table) -> None:
        self._tables[_str(name, "a map's name")] = table

    def __delitem__(self, name: Text) -> None:
        if self._tables.pop(_str(name, "a map's name"), None) is None:
            raise MapKeyError(f"there is no view of a map {name!r} to forget{_near(_str(name), self._tables)}")

    def __contains__(self, name: Text) -> bool:
        return _str(name, "a map's name") in self._maps

    def __iter__(self) -> Iterator[str]:
        return iter(self._maps)

    def __len__(self) -> int:
        return len(self._maps)

    # Programs

    def load_func(self, func_name: Text, prog_type: int, device: Text | None = None, attach_type: int = -1) -> LoadedFunction:
        """Load a program as a type (`BPF.KPROBE`, ...) without attaching it; what comes back has its `.fd`."""
        from skep.object import kind_for_type

        if device is not None:
            raise UnsupportedError(f"device={_str(device)!r}: programs cannot be loaded into network hardware", needs="BCC")
        name = _str(func_name, "func_name")
        spec = self._program(name)
        self._require_open()
        kind = spec.kind if spec.kind is not None and spec.kind.type == prog_type else kind_for_type(prog_type)
        if attach_type >= 0:
            kind = ProgramKind(
                kind.name, kind.type, kind.context, expected_attach_type=attach_type, target=kind.target, flags=kind.flags
            )
        handle = self._load(name, kind)
        function = self.funcs.get(name.encode())
        if function is None or function.handle is not handle:
            function = self.funcs[name.encode()] = LoadedFunction(self, name, handle)
        return function

    def load_funcs(self, prog_type: int = KPROBE) -> list[LoadedFunction]:
        """Load all programs of the text as one type."""
        return [self.load_func(name, prog_type) for name in self.object.programs]

    def _program(self, name: str) -> ProgramSpec:
        spec = self.object.programs.get(name)
        if spec is None:
            if not name:
                raise SkepError(f"fn_name does not say which program; there are {', '.join(self.object.programs) or 'none'}")
            raise SkepError(f"there is no program {name!r}{_near(name, self.object.programs)}")
        return spec

    def _load(self, name: str, kind: ProgramKind) -> ProgramHandle:
        handle = self._programs.get((name, kind))
        if handle is None:
            owner = self.object
            spec = self._program(name)
            context = spec.kind.context if spec.kind is not None else _DEFAULT_CONTEXT
            if spec.uses_registers and context != kind.context:
                from skep.build import build

                # the hook's context is no pt_regs: the same C, compiled for what it is
                owner = build(self._text, file=self._file, cflags=self._cflags, contexts={name: kind.context})
                spec = owner.programs[name]
            with Uninterrupted():
                handle = self._programs[name, kind] = self.engine.load_program(spec, kind, self._maps, owner)
        return handle

    # Hooks

    def attach_kprobe(self, event: Text = "", event_off: int = 0, fn_name: Text = "", event_re: Text = "") -> None:
        """Run `fn_name` when a kernel function is called; `event_re` is for all functions whose whole name matches.

        Where the kernel has no kprobes, a system call's function is reached by its tracepoint: see `links`.
        """
        if not isinstance(event_off, int) or event_off < 0:
            raise SkepError(
                f"attach_kprobe(event_off={event_off!r}): it is a number of bytes from the function's start, 0 or more"
            )
        self._attach_functions("kprobe", event, event_re, fn_name, offset=event_off)

    def attach_kretprobe(self, event: Text = "", fn_name: Text = "", event_re: Text = "", maxactive: int = 0) -> None:
        """Run `fn_name` when a kernel function returns; `maxactive` bounds how many calls at a time are seen."""
        if not isinstance(maxactive, int) or maxactive < 0:
            raise SkepError(
                f"attach_kretprobe(maxactive={maxactive!r}): it is a number of calls, 0 or more (0: the kernel's default)"
            )
        options = {"maxactive": maxactive} if maxactive else {}
        self._attach_functions("kretprobe", event, event_re, fn_name, **options)

    def attach_tracepoint(self, tp: Text = "", tp_re: Text = "", fn_name: Text = "") -> None:
        """Run `fn_name` at a tracepoint, "category:event" (Linux 4.7)."""
        if tp_re:
            raise UnsupportedError("attach_tracepoint(tp_re=...): not there yet, name the tracepoint", needs="a newer Skep")
        self._attach(Hook("tracepoint", _str(tp, "tp")), _str(fn_name, "fn_name"))

    def attach_raw_tracepoint(self, tp: Text = "", fn_name: Text = "") -> None:
        """Run `fn_name` at a raw tracepoint, which has the tracepoint's own arguments (Linux 4.17)."""
        tp = _str(tp, "tp")
        if ("raw_tracepoint", tp) in self._attachments:
            raise AttachError(f"raw tracepoint {tp!r} has a program of this object already: detach_raw_tracepoint({tp!r}) first")
        self._attach(Hook("raw_tracepoint", tp), _str(fn_name, "fn_name"))

    def detach_kprobe(self, event: Text, fn_name: Text | None = None) -> None:
        """Take the programs (or one of them) off a function."""
        self._detach("kprobe", event, fn_name)

    def detach_kretprobe(self, event: Text, fn_name: Text | None = None) -> None:
        self._detach("kretprobe", event, fn_name)

    def detach_tracepoint(self, tp: Text) -> None:
        self._detach("tracepoint", tp)

    def detach_raw_tracepoint(self, tp: Text) -> None:
        self._detach("raw_tracepoint", tp)

    @property
    def links(self) -> list[Attachment]:
        """Everything that is attached now; each says `.how`, `.hook` and `.function`."""
        return [attachment for attachments in self._attachments.values() for attachment in attachments]

    def num_open_kprobes(self) -> int:
        """How many kernel functions have a program at their entry or return."""
        return sum(family in ("kprobe", "kretprobe") for family, _ in self._attachments)

    def num_open_tracepoints(self) -> int:
        return sum(family == "tracepoint" for family, _ in self._attachments)

    def _attach_functions(self, family: str, event: Text, event_re: Text, fn_name: Text, **options: int) -> None:
        event, pattern, function = _str(event, "event"), _str(event_re, "event_re"), _str(fn_name, "fn_name")
        if not pattern:
            self._attach(Hook(family, event, **options), function)
            return
        from skep.functions import kprobe_functions

        self._program(function)
        names = sorted(kprobe_functions(pattern))
        failure: AttachError | None = None
        attached = 0
        for name in names:
            try:
                self._attach(Hook(family, name, **options), function)
                attached += 1
            except AttachError as error:
                failure = error
        if not attached:
            reason = f"of {len(names)} functions none can be attached; the last: {failure}" if failure else "no function matches"
            raise AttachError(f"cannot attach {function!r} to {family} {pattern!r}: {reason}", candidates=names)

    def _attach(self, hook: Hook, function: str) -> None:
        self._program(function)
        self._require_open()
        if not (hook.target.isascii() and hook.target.isprintable() and hook.target):
            raise AttachError(
                f"cannot attach {function!r} to {hook.family} {hook.target!r}: "
                + ("no such name can be in a kernel" if hook.target else "the name of the place to attach to is missing")
            )
        link = self.engine.attach(hook, lambda kind: self._load(function, kind))
        self._attachments.setdefault((hook.family, hook.target), []).append(Attachment(hook, function, link))

    def _detach(self, family: str, target: Text, function: Text | None = None) -> None:
        key = family, _str(target, "the name of the place to detach from")
        wanted = None if function is None else _str(function, "fn_name")
        attached = self._attachments.get(key, [])
        leaving = [attachment for attachment in attached if wanted in (None, attachment.function)]
        if not leaving:
            targets = [target for family_, target in self._attachments if family_ == family]
            raise AttachError(f"{family} {key[1]!r} is not attached{_near(key[1], targets)}")
        remaining = [attachment for attachment in attached if attachment not in leaving]
        with Uninterrupted():
            if remaining:
                self._attachments[key] = remaining
            else:
                del self._attachments[key]
            _close_all(leaving)

    def _autoload_hook(self, spec: ProgramSpec) -> Hook | None:
        """The hook that a program's section (`tracepoint/sched/x`) or name (`kprobe__x`, `tracepoint__sched__x`) asks for."""
        for text, separator in ((spec.section, "/"), (spec.name, "__")):
            prefix, found, target = text.partition(separator)
            family = _AUTOLOAD.get(prefix)
            if family and found and target:
                if family == "tracepoint":
                    target = target.replace(separator, ":", 1)
                elif family != "raw_tracepoint":
                    target = self.fix_syscall_fnname(target).decode()
                return Hook(family, target)
        return None

    # System calls

    @staticmethod
    def get_syscall_prefix() -> bytes:
        """What the names of system calls' functions begin with on this kernel: b"__x64_sys_"."""
        from skep.engine.kernel.syscalls import syscall_prefix

        return syscall_prefix().encode()

    @classmethod
    def get_syscall_fnname(cls, name: Text) -> bytes:
        """The kernel's function for a system call: b"__x64_sys_execve" for "execve"."""
        return cls.get_syscall_prefix() + _str(name).encode()

    @classmethod
    def fix_syscall_fnname(cls, name: Text) -> bytes:
        """The name of a system call's function as this kernel has it, whatever prefix it was given with."""
        from skep.functions import without_syscall_prefix

        name = _str(name)
        bare = without_syscall_prefix(name)
        return name.encode() if bare is None else cls.get_syscall_fnname(bare)

    @staticmethod
    def get_kprobe_functions(event_re: Text) -> set[bytes]:
        """Functions whose whole name matches and that `attach_kprobe` can be given."""
        from skep.functions import kprobe_functions

        return {name.encode() for name in kprobe_functions(_str(event_re))}

    # Events

    def perf_buffer_poll(self, timeout: float = -1) -> int:
        """Give waiting records to their callbacks; with none, wait up to `timeout` ms (negative: for ever). How many there were.

        An exception of a callback comes out of here; its record counts as read, later ones wait for the next call.
        """
        return self.perf_buffers.poll(timeout)

    kprobe_poll = perf_buffer_poll

    def perf_buffer_consume(self) -> int:
        """Like `perf_buffer_poll`, without waiting."""
        return self.perf_buffers.consume()

    def ring_buffer_poll(self, timeout: float = -1) -> int:
        """Give waiting records of all ring buffers to their callbacks, as `perf_buffer_poll` does (Linux 5.8)."""
        return self.ring_buffers.poll(timeout)

    def ring_buffer_consume(self) -> int:
        return self.ring_buffers.consume()

    # bpf_trace_printk

    def trace_open(self, nonblocking: bool = False) -> Any:
        """The open trace_pipe. Reading it takes lines away from all other readers of the machine."""
        if self._trace_pipe is None:
            self._require_open()
            with Uninterrupted():
                self._trace_pipe = self.engine.open_trace_pipe()
        return self._trace_pipe

    def trace_readline(self, nonblocking: bool = False) -> bytes | None:
        """The next line of trace_pipe; with `nonblocking` None when there is none."""
        line: bytes | None = self.trace_open().readline(nonblocking)
        return line

    def trace_fields(self, nonblocking: bool = False) -> tuple[Any, ...]:
        """The next line as (task, pid, cpu, flags, time stamp in s, message), texts as bytes; six None when there is none."""
        while True:
            line = self.trace_readline(nonblocking)
            if line is None:
                return (None,) * 6
            fields = parse_trace_line(line)
            if fields is not None:
                return fields

    def trace_print(self, fmt: str | None = None) -> None:
        """Print lines of trace_pipe for ever; `fmt` is filled with the fields of `trace_fields`: "{1} {5}".

        Lines that wait together are written together: a program that traces system calls sees each write, and would answer
        every line with another.
        """
        lines: list[str] = []
        try:
            while True:
                line = self.trace_readline(nonblocking=True)
                if line is None or len(lines) >= _LINES_AT_ONCE:
                    _write_lines(lines)
                if line is None:
                    line = self.trace_readline()
                if line is None:
                    return
                if fmt is None:
                    lines.append(line.decode(errors="replace"))
                    continue
                fields = parse_trace_line(line)
                if fields is not None:
                    texts = [field.decode(errors="replace") if isinstance(field, bytes) else field for field in fields]
                    lines.append(fmt.format(*texts))
        finally:
            _write_lines(lines)

    # The end

    def cleanup(self) -> None:
        """Detach everything, close all maps and programs. Calling it again does nothing.

        In a child made by fork only the child's copies of the fds are closed: the parent's hooks stay attached.
        """
        with Uninterrupted():
            self._cleanup()

    def _cleanup(self) -> None:
        attachments, self._attachments = self.links, {}
        readers = [table for table in self._tables.values() if getattr(table, "buffer", None) is not None]
        pipe, self._trace_pipe = self._trace_pipe, None
        programs, self._programs = list(self._programs.values()), {}
        maps, self._maps = list(self._maps.values()), {}
        engine, self._opened_engine = self._opened_engine, None
        self._tables = {}
        self.funcs = {}
        if self._at_exit is not None:
            atexit.unregister(self._at_exit)
            self._at_exit = None
        buffers = [table.buffer for table in readers]
        _close_all(one for one in (*attachments, *buffers, pipe, *programs, *maps, engine) if one is not None)

    close = cleanup

    def _require_open(self) -> None:
        if self._opened_engine is None:
            raise SkepError("this BPF object is closed: its maps and programs are gone; make a new one")

    def __enter__(self) -> BPF:
        self._require_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    def __del__(self) -> None:
        if self.__dict__.get("_opened_engine") is not None:
            self.cleanup()

    def __reduce_ex__(self, _protocol: object) -> Any:
        raise SkepError("a BPF object cannot be copied or pickled: it owns programs in the kernel; make one where it is needed")

    def __getattr__(self, name: str) -> Any:
        if name.endswith(_NOT_YET):
            raise AttributeError(f"BCC's BPF.{name} is not there yet: this Skep has no such part", name=name, obj=self)
        raise AttributeError(f"'BPF' object has no attribute {name!r}", name=name, obj=self)


def open_engine(name: str | None = None) -> Engine:
    """The engine of that name ("kernel", "user", "auto"; None: SKEP_ENGINE, else auto)."""
    name = name or os.environ.get("SKEP_ENGINE") or "auto"
    if name == "user":
        raise UnsupportedError(
            "engine 'user' is not there yet: it will run programs without privilege",
            needs="a newer Skep, or engine='kernel' as root",
        )
    if name not in ("auto", "kernel"):
        raise UnsupportedError(f"there is no engine {name!r}: use 'auto', 'kernel' or 'user'", needs="one of these names")
    from skep.engine.kernel.privileges import check_privilege

    try:
        check_privilege()
    except PrivilegeError as error:
        raise PrivilegeError(
            f"{error}; Skep's user engine, which will run this without privilege, is not there yet", missing=error.missing
        ) from None
    from skep.engine.kernel import KernelEngine

    engine: Any = KernelEngine()
    return engine  # type: ignore[no-any-return]


def parse_trace_line(line: bytes) -> tuple[bytes, int, int, bytes, float, bytes] | None:
    """(task, pid, cpu, flags, seconds, message) of a line of trace_pipe, or None for another kind of line (lost events).

    The task's name is right-aligned in 16 columns and may hold spaces and dashes, so it is cut by column.
    The message follows the address or function that called bpf_trace_printk.
    """
    head, _, rest = line[17:].partition(b": ")
    fields = head.split()
    if line.startswith(b"CPU:") or len(fields) != 4:
        return None
    pid, cpu, flags, seconds = fields
    try:
        return line[:16].lstrip(), int(pid), int(cpu.strip(b"[]")), flags, float(seconds), rest.partition(b": ")[2]
    except ValueError:
        return None


def _write_lines(lines: list[str]) -> None:
    if lines:
        text = "\n".join(lines) + "\n"
        lines.clear()
        sys.stdout.write(text)
        sys.stdout.flush()


def _str(name: Text, what: str = "a name") -> str:
    if isinstance(name, str):
        return name
    if isinstance(name, bytes):
        return name.decode("utf-8", "surrogateescape")
    raise SkepError(f"{what} is str or bytes, not {type(name).__name__} {name!r}")


def _source(src_file: str, text: Text | None) -> tuple[str, str]:
    """(text, name for diagnostics)."""
    if text is not None and src_file:
        raise SkepError("BPF(...): give text or src_file, not both")
    if text is not None:
        return _str(text, "text"), "<text>"
    if not src_file:
        raise SkepError("BPF(...): nothing to compile; give text= or src_file=")
    beside = os.path.join(os.path.dirname(sys.argv[0]), src_file)
    for path in (src_file, beside):
        try:
            with open(path, "rb") as file:
                return _str(file.read()), path
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
            raise SkepError(f"cannot read the source file {path!r}: {getattr(error, 'strerror', error)}") from error
    raise SkepError(f"there is no source file {src_file!r}, neither here nor beside the script ({beside})")


def _near(name: str, names: Iterable[str]) -> str:
    names = list(names)
    if not names:
        return "; there are none"
    from difflib import get_close_matches

    close = get_close_matches(name, names, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names[:10])}"


def _close_all(closing: Iterable[Any]) -> None:
    """Close each, whatever happens to the others; the first failure is raised at the end."""
    failure: Exception | None = None
    for one in closing:
        try:
            one.close()
        except (SkepError, OSError) as error:
            failure = failure or error
    if failure is not None:
        raise failure


def _close_at_exit(reference: ref[BPF]) -> None:
    bpf = reference()
    if bpf is not None:
        bpf.cleanup()
