"""The part of class BPF that puts programs on hooks: BCC's attach_* and detach_* methods, and the names of functions."""

from __future__ import annotations

from skep.arguments import as_text
from skep.attachments import Attachment, Attachments
from skep.engine import Hook
from skep.errors import AttachError, SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.engine import Engine, ProgramHandle
    from skep.object.model import ProgramKind, ProgramSpec

    Text = str | bytes

# The hook families that a program's name or section attaches by itself at construction
_AUTOLOAD = {
    "kprobe": "kprobe", "kretprobe": "kretprobe", "tracepoint": "tracepoint", "tp": "tracepoint",
    "raw_tracepoint": "raw_tracepoint", "raw_tp": "raw_tracepoint", "fentry": "fentry", "fexit": "fexit", "lsm": "lsm",
    "tp_btf": "tp_btf",
}  # fmt: skip


_OUTSIDE = ("uprobe", "uretprobe", "raw_socket", "perf_event")  # their places are no names in the kernel


class Attaching:
    """Base of class BPF, which has the programs and the engine."""

    engine: Engine

    def __init__(self) -> None:
        self._attachments = Attachments()

    if TYPE_CHECKING:  # what class BPF brings

        def _program(self, name: str) -> ProgramSpec: ...
        def _load(self, name: str, kind: ProgramKind) -> ProgramHandle: ...
        def _require_open(self) -> None: ...

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
        """Run `fn_name` at a tracepoint, "category:event"; `tp_re` means all that it matches at their start (Linux 4.7)."""
        function = as_text(fn_name, "fn_name")
        if not tp_re:
            self._attach(Hook("tracepoint", as_text(tp, "tp")), function)
            return
        self._program(function)
        names = sorted(self.get_tracepoints(tp_re))
        for name in names:
            self._attach(Hook("tracepoint", name.decode()), function)
        if not names:
            raise AttachError(f"cannot attach {function!r}: no tracepoint matches tp_re={as_text(tp_re)!r}")

    @staticmethod
    def get_tracepoints(tp_re: Text) -> list[bytes]:
        """Tracepoints, "category:event", that a regular expression matches at their start."""
        from skep.functions import tracepoints

        return [name.encode() for name in tracepoints(as_text(tp_re, "tp_re"))]

    @staticmethod
    def tracepoint_exists(category: Text, event: Text) -> bool:
        """Whether this kernel has a tracepoint."""
        from skep.functions import tracepoint_exists

        return tracepoint_exists(as_text(category), as_text(event))

    def attach_raw_tracepoint(self, tp: Text = "", fn_name: Text = "") -> None:
        """Run `fn_name` at a raw tracepoint, which has the tracepoint's own arguments (Linux 4.17)."""
        tp = as_text(tp, "tp")
        if tp in self._attachments.places("raw_tracepoint"):
            raise AttachError(f"raw tracepoint {tp!r} has a program of this object already: detach_raw_tracepoint({tp!r}) first")
        self._attach(Hook("raw_tracepoint", tp), as_text(fn_name, "fn_name"))

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
        return list(self._attachments)

    def num_open_kprobes(self) -> int:
        """How many kernel functions have a program at their entry or return."""
        return len(self._attachments.places("kprobe", "kretprobe"))

    def num_open_tracepoints(self) -> int:
        return len(self._attachments.places("tracepoint"))

    def _attach_functions(self, family: str, event: Text, event_re: Text, fn_name: Text, **options: int) -> None:
        event, pattern, function = as_text(event, "event"), as_text(event_re, "event_re"), as_text(fn_name, "fn_name")
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
        if hook.family not in _OUTSIDE and not (hook.target.isascii() and hook.target.isprintable() and hook.target):
            raise AttachError(
                f"cannot attach {function!r} to {hook.family} {hook.target!r}: "
                + ("no such name can be in a kernel" if hook.target else "the name of the place to attach to is missing")
            )
        link = self.engine.attach(hook, lambda kind: self._load(function, kind))
        self._attachments.add(Attachment(hook, function, link))

    def _detach(self, family: str, target: Text, function: Text | None = None) -> None:
        wanted = None if function is None else as_text(function, "fn_name")
        self._attachments.detach(family, as_text(target, "the name of the place to detach from"), wanted)

    def _autoload_hook(self, spec: ProgramSpec) -> Hook | None:
        """The hook that a program's section (`tracepoint/sched/x`) or name (`kprobe__x`, `tracepoint__sched__x`) asks for."""
        for text, separator in ((spec.section, "/"), (spec.name, "__")):
            prefix, found, target = text.partition(separator)
            family = _AUTOLOAD.get(prefix)
            if family and found and target:
                if family == "tracepoint":
                    target = target.replace(separator, ":", 1)
                elif family in ("kprobe", "kretprobe"):
                    target = self.fix_syscall_fnname(target).decode()
                return Hook(family, target)
        return None

    # System calls

    @staticmethod
    def get_syscall_prefix() -> bytes:
        """What the names of system calls' functions begin with on this kernel: b"__x64_sys_"."""
        from skep.engine.syscalls import syscall_prefix

        return syscall_prefix().encode()

    @classmethod
    def get_syscall_fnname(cls, name: Text) -> bytes:
        """The kernel's function for a system call: b"__x64_sys_execve" for "execve"."""
        return cls.get_syscall_prefix() + as_text(name).encode()

    @classmethod
    def fix_syscall_fnname(cls, name: Text) -> bytes:
        """The name of a system call's function as this kernel has it, whatever prefix it was given with."""
        from skep.functions import without_syscall_prefix

        name = as_text(name)
        bare = without_syscall_prefix(name)
        return name.encode() if bare is None else cls.get_syscall_fnname(bare)

    @staticmethod
    def get_kprobe_functions(event_re: Text) -> set[bytes]:
        """Functions whose whole name matches and that `attach_kprobe` can be given."""
        from skep.functions import kprobe_functions

        return {name.encode() for name in kprobe_functions(as_text(event_re))}
