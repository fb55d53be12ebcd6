"""class BPF: one C text from source to detach, with BCC's names and meaning. It orchestrates and holds no mechanism.

In: C text (or an Object), calls of BCC's interface. Out: loaded programs, live maps, links, events.
"""

from __future__ import annotations

import atexit
import sys
from _collections_abc import Mapping
from _weakref import ref

from skep.arguments import as_number, as_pid, as_text, near, source_of
from skep.attaching import Attaching
from skep.attachments import Attachments, close_all
from skep.buffers.poller import Poller
from skep.engine.choose import open_engine
from skep.errors import MapError, MapKeyError, SkepError, UnsupportedError
from skep.hooking import Hooking
from skep.interrupts import Uninterrupted
from skep.introspection import Introspection
from skep.object.model import Object, ProgramKind
from skep.symbols.names import SymbolNames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from skep.commands import Command, File
    from skep.engine import Engine, MapHandle, ProgramHandle
    from skep.maps.globals import Globals
    from skep.maps.table import Table
    from skep.object.model import ProgramSpec

    Text = str | bytes

_DEFAULT_CONTEXT = "kprobe"  # what the compiler takes a context for when neither name nor section says more


class LoadedFunction:
    """A loaded program, as `load_func` returns it."""

    __slots__ = ("bpf", "handle", "name", "sock")

    def __init__(self, bpf: BPF, name: str, handle: ProgramHandle) -> None:
        self.bpf = bpf
        self.name = name.encode()
        self.handle = handle

    @property
    def fd(self) -> int:
        return self.handle.fd


class BPF(Attaching, Hooking, Introspection, SymbolNames):
    """Compiles a text, makes its maps, loads and attaches its programs, and takes all of it away again.

    A context manager; what is not closed by hand is closed when the object goes or the process ends. Names may be str or bytes.
    `engine` is "kernel", "user" or "auto" (default: SKEP_ENGINE, else auto). `object` takes a compiled Object in place of a text.
    `globals` are values for global variables, by name, that are set before any program is loaded. `maps` are maps of other
    objects that take the place of this one's, by name: both see the same entries.
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
        globals: Mapping[str, Any] | None = None,
        maps: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._programs: dict[tuple[str, ProgramKind], ProgramHandle] = {}
        self._maps: dict[str, MapHandle] = {}
        self._own_maps: dict[str, MapHandle] = {}
        self._commands: list[Command] = []
        self._unfrozen: list[MapHandle] = []
        self._globals: Globals | None = None
        self._tables: dict[str, Any] = {}
        self._opened_engine: Engine | None = None
        self._trace_pipe: Any = None
        self._at_exit: Callable[[], None] | None = None
        self.funcs: dict[bytes, LoadedFunction] = {}
        self.debug = debug
        self.perf_buffers = Poller("perf buffer", 'b["name"].open_perf_buffer(callback)')
        self.ring_buffers = Poller("ring buffer", 'b["name"].open_ring_buffer(callback)')
        if hdr_file:
            raise UnsupportedError(f"hdr_file={as_text(hdr_file)!r}: not there; #include it in the text", needs="an #include")
        if device is not None:
            raise UnsupportedError(f"device={as_text(device)!r}: programs cannot be loaded into network hardware", needs="BCC")
        if isinstance(cflags, (str, bytes)):
            raise SkepError(f"BPF(cflags={cflags!r}): cflags is a list of flags, such as [{as_text(cflags)!r}]")
        for what, given in (("globals", globals), ("maps", maps)):
            if given is not None and not isinstance(given, Mapping):
                raise SkepError(f"BPF({what}={given!r}): {what} is a dict by name, not {type(given).__name__}")
        self._cflags = [as_text(flag, "a flag of cflags") for flag in cflags]
        if object is None:
            self._text, self._file = source_of(as_text(src_file, "src_file"), text)
        elif not isinstance(object, Object):
            raise SkepError(f"BPF(object=...) takes what skep.compile() or skep.load_object() gives, not {type(object).__name__}")
        elif text is not None or src_file:
            raise SkepError("BPF(...): give text, src_file or object, and only one of them")
        else:
            self._text = self._file = ""
        if usdt_contexts:
            from skep import usdt

            self._text = usdt.prefix(usdt_contexts, self._file) + self._text
        self.engine = self._opened_engine = open_engine(engine)
        try:
            if object is None:
                from skep.build import build

                object = build(self._text, file=self._file, cflags=self._cflags)
            self.object = object
            with Uninterrupted():
                self._make_maps(object, maps or {})
            me = ref(self)
            self._at_exit = lambda: _close_at_exit(me)
            atexit.register(self._at_exit)
            if globals:
                self.globals.update(globals)
            self._fill_maps()
            if usdt_contexts:
                usdt.attach(usdt_contexts, self, attach_usdt_ignore_pid)
            for program in object.programs.values():
                hook = self._autoload_hook(program)
                if hook is not None:
                    self._attach(hook, program.name)
            for handle in self._own_maps.values():
                if handle.spec.operations is not None:
                    self.attach_struct_ops(handle.spec.name)
        except BaseException:
            self.cleanup()
            raise

    def _make_maps(self, object: Object, replacements: Mapping[str, Any]) -> None:
        """Create the maps, but for those that are another object's."""
        for name in replacements:
            if name not in object.maps:
                raise MapKeyError(f"maps={{{name!r}: ...}}: there is no map {name!r}{near(name, object.maps)}", map_name=name)
        for spec in object.maps.values():
            if spec.name in replacements or spec.sharing == "extern":
                from skep import shared_maps

                given = replacements.get(spec.name)
                self._maps[spec.name] = (
                    shared_maps.open_extern(self.engine, spec) if given is None else shared_maps.share(self.engine, spec, given)
                )
                continue
            handle = self._maps[spec.name] = self._own_maps[spec.name] = self.engine.create_map(spec, object)
            if spec.frozen:
                self._unfrozen.append(handle)
            if spec.sharing:
                from skep.shared_maps import publish

                publish(handle)

    def _fill_maps(self) -> None:
        """Put in what the text declares as the values of maps of maps and of program arrays."""
        for spec in (handle.spec for handle in self._own_maps.values()):
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

        name = as_text(name, "a map's name")
        handle = self._maps.get(name) or self._maps.get(name[max(name.find("."), 0) :])  # libbpf says prog.rodata for .rodata
        if handle is None:
            self._require_open()
            raise MapKeyError(f"there is no map {name!r}{near(name, self._maps)}", map_name=name)
        if reducer is not None and not callable(reducer):
            raise MapError(f"get_table(reducer={reducer!r}): it is a function of two values that gives one", map_name=name)
        table: Any = open_view(handle, self, key_type=keytype, leaf_type=leaftype)
        if reducer is not None:
            table.reducer = reducer
        return table

    def __getitem__(self, name: Text) -> Any:
        try:
            return self._tables[name]  # type: ignore[index]  # callbacks say b["events"] once a record
        except (KeyError, TypeError):
            name = as_text(name, "a map's name")
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = self.get_table(name)
        return table

    def __setitem__(self, name: Text, table: Table) -> None:
        self._tables[as_text(name, "a map's name")] = table

    def __delitem__(self, name: Text) -> None:
        if self._tables.pop(as_text(name, "a map's name"), None) is None:
            raise MapKeyError(f"there is no view of a map {name!r} to forget{near(as_text(name), self._tables)}")

    def __contains__(self, name: Text) -> bool:
        return as_text(name, "a map's name") in self._maps

    def __iter__(self) -> Iterator[str]:
        return iter(self._maps)

    def __len__(self) -> int:
        return len(self._maps)

    # Global variables

    @property
    def globals(self) -> Globals:
        """The program's global variables by name (Linux 5.2), as `skep.maps.globals.Globals` says: read, written, `to_numpy`."""
        if self._globals is None:
            from skep.maps.globals import Globals

            self._require_open()
            data = [handle for handle in self._maps.values() if handle.spec.initial is not None]
            self._globals = Globals(self.object.btf, data)
            for handle in data:
                if handle.spec.frozen and handle not in self._unfrozen:
                    self._globals.frozen(handle.spec.name)
        return self._globals

    def _freeze_constants(self) -> None:
        """.rodata as the verifier wants it: what it holds is known then, and branches that it decides are left out."""
        while self._unfrozen:
            handle = self._unfrozen.pop()
            handle.freeze()
            if self._globals is not None:
                self._globals.frozen(handle.spec.name)

    # Programs

    def load_func(self, func_name: Text, prog_type: int, device: Text | None = None, attach_type: int = -1) -> LoadedFunction:
        """Load a program as a type (`BPF.KPROBE`, ...) without attaching it; what comes back has its `.fd`."""
        from skep.object import kind_for_type

        if device is not None:
            raise UnsupportedError(f"device={as_text(device)!r}: programs cannot be loaded into network hardware", needs="BCC")
        name = as_text(func_name, "func_name")
        spec = self._program(name)
        self._require_open()
        kind = spec.kind if spec.kind is not None and spec.kind.type == prog_type else kind_for_type(prog_type)
        attach_type = as_number(attach_type, "attach_type", -1)
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
            raise SkepError(f"there is no program {name!r}{near(name, self.object.programs)}")
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
                if _data_sections(owner) != _data_sections(self.object):  # its code would read other variables in our maps
                    raise SkepError(
                        f"program {name!r} cannot be attached as {kind.name} beside the others: compiled for that, its global "
                        "variables are at other places; give it a BPF object of its own"
                    )
            with Uninterrupted():
                self._freeze_constants()
                handle = self._programs[name, kind] = self.engine.load_program(spec, kind, self._maps, owner)
        return handle

    def tail_target(self, array: str, name: Text) -> ProgramHandle:
        """The program for an array, by its name: loaded already, else as what the array's callers are or its name says."""
        name = as_text(name, "a program's name")
        spec = self._program(name)
        for (program, _), handle in self._programs.items():
            if program == name:
                return handle
        callers = [
            kind
            for program, kind in self._programs
            if any(relocation.symbol == array for relocation in self.object.programs[program].relocations)
        ]
        kinds = [*callers, spec.kind] if spec.kind is not None else callers
        if not kinds:
            raise SkepError(
                f"program {name!r} cannot be put into {array!r} by its name: nothing says its type, and no program that calls "
                "through the array is loaded yet; give what load_func() returns"
            )
        return self._load(name, kinds[0])

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
        pipe = self._trace_pipe  # once: another thread may close it just now
        if pipe is None:
            self._require_open()
            with Uninterrupted():
                pipe = self._trace_pipe = self.engine.open_trace_pipe()
        return pipe

    def trace_readline(self, nonblocking: bool = False) -> bytes | None:
        """The next line of trace_pipe; with `nonblocking` None when there is none."""
        line: bytes | None = self.trace_open().readline(nonblocking)
        return line

    def trace_fields(self, nonblocking: bool = False) -> tuple[Any, ...]:
        """The next line as (task, pid, cpu, flags, time stamp in s, message), texts as bytes; six None when there is none."""
        from skep.trace_pipe import read_fields

        return read_fields(self.trace_readline, nonblocking) or (None,) * 6

    def trace_print(self, fmt: str | None = None) -> None:
        """Print lines of trace_pipe for ever; `fmt` is filled with the fields of `trace_fields`: "{1} {5}"."""
        from skep.trace_pipe import print_lines

        print_lines(self.trace_readline, None if fmt is None else as_text(fmt, "fmt"))

    # What is traced

    def trace_command(
        self, argv: Sequence[str], *, stdin: File = None, stdout: File = None, stderr: File = None, user: int | None = None
    ) -> Command:
        """Start a command that the programs see, with all that it starts; it ends with this object.

        Files are fds or open files (None: this process's); `user` is a user and group id to run as (root only). The user engine
        sees the system calls of such commands, and of no other process, so attach first; the kernel engine sees every process.
        """
        from skep.commands import file_numbers, words_of

        if user is not None:
            user = as_number(user, "user")
        self._require_open()
        with Uninterrupted():
            command = self.engine.trace_command(words_of(argv), file_numbers(stdin, stdout, stderr), user)
            self._commands.append(command)
        return command

    def trace_pid(self, pid: int) -> None:
        """Have the programs see a process that runs, its threads and the processes below it; AttachError when that cannot be.

        The kernel engine sees it in any case, and only looks whether it is there.
        """
        self._require_open()
        self.engine.trace_pid(as_pid(pid))

    # The end

    def cleanup(self) -> None:
        """Detach everything, close all maps and programs. Calling it again does nothing.

        In a child made by fork only the child's copies of the fds are closed: the parent's hooks stay attached.
        """
        with Uninterrupted():
            self._cleanup()

    def _cleanup(self) -> None:
        attachments, self._attachments = self.links, Attachments()
        pipe, self._trace_pipe = self._trace_pipe, None
        programs, self._programs = list(self._programs.values()), {}
        maps, self._maps, self._unfrozen = list(self._maps.values()), {}, []
        variables, self._globals = self._globals, None
        own, self._own_maps = self._own_maps, {}
        commands, self._commands = self._commands, []
        for handle in own.values():
            if handle.spec.sharing:
                from skep.shared_maps import withdraw

                withdraw(handle)
        engine, self._opened_engine = self._opened_engine, None
        self._tables = {}
        self.funcs = {}
        if self._at_exit is not None:
            atexit.unregister(self._at_exit)
            self._at_exit = None
        buffers = (self.perf_buffers, self.ring_buffers)
        closing = (*attachments, *buffers, pipe, *programs, variables, *maps, *commands, engine)
        close_all(one for one in closing if one is not None)

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
        raise AttributeError(f"'BPF' object has no attribute {name!r}", name=name, obj=self)


def _data_sections(object: Object) -> dict[str, bytes]:
    return {spec.name: spec.initial for spec in object.maps.values() if spec.initial is not None}


def _close_at_exit(reference: ref[BPF]) -> None:
    bpf = reference()
    if bpf is not None:
        bpf.cleanup()
