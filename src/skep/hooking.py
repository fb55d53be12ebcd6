"""The part of class BPF for hooks other than kernel functions and tracepoints: processes, counters, the network, BTF."""

from __future__ import annotations

from skep.arguments import as_number, as_text
from skep.attachments import Attachment
from skep.engine import Hook
from skep.errors import AttachError, SkepError
from skep.interrupts import Uninterrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.attachments import Attachments
    from skep.engine import Engine, ProgramHandle
    from skep.object.model import ProgramKind, ProgramSpec

    Text = str | bytes


_U64 = (1 << 64) - 1
_FD = (1 << 31) - 1


def _loaded(fn: Any) -> Any:
    if not hasattr(fn, "bpf") or not hasattr(fn, "handle"):
        raise SkepError(f"fn= is a loaded program, what load_func() returns, not {type(fn).__name__} {fn!r}")
    return fn


def _counter(type: Any, config: Any) -> str:
    """The place of a perf event."""
    return f"{as_number(type, 'ev_type')}:{as_number(config, 'ev_config', most=_U64):#x}"


def _where(pid: Any, cpu: Any, group: Any) -> dict[str, int]:
    numbers = {"pid": pid, "cpu": cpu, "group": group}
    return {name: as_number(number, name, -1, _FD) for name, number in numbers.items()}


def _attachable(fd: Any, type: Any) -> str:
    return f"{as_number(type, 'attach_type')}:{as_number(fd, 'attachable_fd', most=_FD)}"


class Hooking:
    """Base of class BPF, beside `Attaching`."""

    XDP_FLAGS_UPDATE_IF_NOEXIST, XDP_FLAGS_SKB_MODE, XDP_FLAGS_DRV_MODE, XDP_FLAGS_HW_MODE, XDP_FLAGS_REPLACE = 1, 2, 4, 8, 16

    if TYPE_CHECKING:  # what class BPF and Attaching bring
        _attachments: Attachments

        engine: Engine

        def _program(self, name: str) -> ProgramSpec: ...
        def _load(self, name: str, kind: ProgramKind) -> ProgramHandle: ...
        def _require_open(self) -> None: ...
        def __getitem__(self, name: Text) -> Any: ...
        def _attach(self, hook: Hook, function: str) -> None: ...
        def _detach(self, family: str, target: Text, function: Text | None = None) -> None: ...

    # Processes

    def attach_uprobe(
        self, name: Text = "", sym: Text = "", sym_re: Text = "", addr: int | None = None, fn_name: Text = "", pid: int = -1,
        sym_off: int = 0,
    ) -> None:  # fmt: skip
        """Run `fn_name` when a function of a library ("c" is libc) or program is called, in process `pid` or all (Linux 4.17).

        `sym_re` is for every function whose name it matches at its start; `addr` is an address as the file's symbols have it.
        """
        self._attach_uprobes("uprobe", name, sym, sym_re, addr, fn_name, pid, sym_off)

    def attach_uretprobe(
        self, name: Text = "", sym: Text = "", sym_re: Text = "", addr: int | None = None, fn_name: Text = "", pid: int = -1
    ) -> None:
        """Run `fn_name` when such a function returns."""
        self._attach_uprobes("uretprobe", name, sym, sym_re, addr, fn_name, pid, 0)

    def _attach_uprobes(
        self, family: str, name: Text, sym: Text, sym_re: Text, addr: int | None, fn_name: Text, pid: int, sym_off: int
    ) -> None:
        from skep.uprobes import targets

        function = as_text(fn_name, "fn_name")
        self._program(function)
        if addr is not None:
            addr = as_number(addr, "addr", most=_U64)
        found = targets(as_text(name), as_text(sym, "sym"), as_text(sym_re, "sym_re"), addr, pid, sym_off)
        if not found:
            raise AttachError(f"no function of {as_text(name)!r} matches sym_re={as_text(sym_re)!r}")
        for target in found:
            self._attach(Hook(family, target), function)

    def detach_uprobe(self, name: Text = "", sym: Text = "", addr: int | None = None, pid: int = -1, sym_off: int = 0) -> None:
        """Take the programs off a place that `attach_uprobe` was given."""
        from skep.uprobes import targets

        for target in targets(as_text(name), as_text(sym, "sym"), "", addr, pid, sym_off):
            self._detach("uprobe", target)

    def detach_uretprobe(self, name: Text = "", sym: Text = "", addr: int | None = None, pid: int = -1) -> None:
        from skep.uprobes import targets

        for target in targets(as_text(name), as_text(sym, "sym"), "", addr, pid):
            self._detach("uretprobe", target)

    def num_open_uprobes(self) -> int:
        """How many places in programs and libraries have a program."""
        return len(self._attachments.places("uprobe", "uretprobe"))

    # Counters

    def attach_perf_event(
        self, ev_type: int = -1, ev_config: int = -1, fn_name: Text = "", sample_period: int = 0, sample_freq: int = 0,
        pid: int = -1, cpu: int = -1, group_fd: int = -1,
    ) -> None:  # fmt: skip
        """Run `fn_name` at samples of a counter: every `sample_period` counts, or `sample_freq` times a second (Linux 4.9).

        `ev_type` and `ev_config` are numbers of struct perf_event_attr: PerfType and PerfSWConfig, PerfHWConfig.
        """
        period = as_number(sample_period, "sample_period", most=_U64)
        frequency = as_number(sample_freq, "sample_freq", most=_U64)
        if bool(period) == bool(frequency):
            raise SkepError("attach_perf_event: give one of sample_period= and sample_freq=, a number above 0")
        key = _counter(ev_type, ev_config)
        if key in self._attachments.places("perf_event"):
            raise AttachError(f"perf event {key} has a program of this object already: detach_perf_event() it first")
        options = {"period": period, "frequency": frequency, **_where(pid, cpu, group_fd)}
        self._attach(Hook("perf_event", key, **options), as_text(fn_name, "fn_name"))

    def attach_perf_event_raw(self, attr: Any, fn_name: Text = "", pid: int = -1, cpu: int = -1, group_fd: int = -1) -> None:
        """Run `fn_name` at samples of a counter as a whole `bcc.Perf.perf_event_attr` describes it (Linux 4.9)."""
        key = _counter(attr.type, attr.config)
        if key in self._attachments.places("perf_event"):
            raise AttachError(f"perf event {key} has a program of this object already: detach_perf_event() it first")
        options: Any = {"attr": bytes(attr), **_where(pid, cpu, group_fd)}
        self._attach(Hook("perf_event", key, **options), as_text(fn_name, "fn_name"))

    def detach_perf_event(self, ev_type: int = -1, ev_config: int = -1) -> None:
        self._detach("perf_event", _counter(ev_type, ev_config))

    # The network

    @staticmethod
    def attach_raw_socket(fn: Any, dev: Text) -> None:
        """Filter a new packet socket of a device with a loaded SOCKET_FILTER; `fn.sock` is its fd, which does not block.

        What the program returns is how many bytes of a packet can be read; 0 drops it. The BPF object closes the socket.
        """
        _loaded(fn).bpf._attach_loaded("raw_socket", fn, as_text(dev, "dev"))
        fn.sock = next(reversed(list(fn.bpf._attachments))).link.fd

    @staticmethod
    def attach_xdp(dev: Text, fn: Any, flags: int = 0) -> None:
        """Run a loaded XDP program on each packet that a device receives (Linux 5.9); detached when its BPF object is closed.

        `flags` are the XDP_FLAGS_ modes; XDP_FLAGS_SKB_MODE works on every device.
        """
        device = as_text(dev, "dev")
        flags = as_number(flags, "flags")
        _loaded(fn)
        if flags & Hooking.XDP_FLAGS_REPLACE and device in fn.bpf._attachments.places("xdp"):
            fn.bpf._detach("xdp", device)
        modes = flags & (Hooking.XDP_FLAGS_SKB_MODE | Hooking.XDP_FLAGS_DRV_MODE | Hooking.XDP_FLAGS_HW_MODE)
        fn.bpf._attach_loaded("xdp", fn, device, flags=modes)

    def remove_xdp(self, dev: Text, flags: int = 0) -> None:
        """Take this object's XDP program off a device."""
        self._detach("xdp", dev)

    def attach_tc(self, dev: Text, fn_name: Text, direction: str = "ingress") -> None:
        """Run `fn_name` on packets of a device, "ingress" or "egress", as a TCX link (Linux 6.6)."""
        if direction not in ("ingress", "egress"):
            raise SkepError(f"attach_tc(direction={direction!r}): 'ingress' or 'egress'")
        self._attach(Hook(f"tc_{direction}", as_text(dev, "dev")), as_text(fn_name, "fn_name"))

    def detach_tc(self, dev: Text, direction: str = "ingress") -> None:
        self._detach(f"tc_{direction}", dev)

    @staticmethod
    def attach_func(fn: Any, attachable_fd: int, attach_type: int, flags: int = 0) -> None:
        """Attach a loaded program to a cgroup's folder or a map (BPF_PROG_ATTACH, Linux 4.10); the type is a BPFAttachType.

        Detached by `detach_func`, or when the BPF object is closed; `flags`: BPF_F_ALLOW_OVERRIDE (1), BPF_F_ALLOW_MULTI (2).
        """
        _loaded(fn).bpf._attach_loaded(
            "attach_func", fn, _attachable(attachable_fd, attach_type), flags=as_number(flags, "flags")
        )

    @staticmethod
    def detach_func(fn: Any, attachable_fd: int, attach_type: int) -> None:
        """Take a program off a cgroup or map."""
        _loaded(fn).bpf._detach("attach_func", _attachable(attachable_fd, attach_type), fn.name)

    def _attach_loaded(self, family: str, fn: Any, target: str, **options: int) -> None:
        self._require_open()
        hook = Hook(family, target, **options)
        self._attachments.add(Attachment(hook, fn.name.decode(), self.engine.attach(hook, lambda _kind: fn.handle)))

    # Places that BTF names

    def attach_kfunc(self, fn_name: Text = "") -> None:
        """Attach a KFUNC_PROBE (fentry) program to the function that it names (Linux 5.5)."""
        self._attach_bound(fn_name, "fentry")

    def attach_kretfunc(self, fn_name: Text = "") -> None:
        """Attach a KRETFUNC_PROBE (fexit) program (Linux 5.5)."""
        self._attach_bound(fn_name, "fexit")

    def attach_fmod_ret(self, fn_name: Text = "") -> None:
        """Attach a KMOD_RET program, whose result takes the place of the function's (Linux 5.5; error-injection functions)."""
        self._attach_bound(fn_name, "fmod_ret")

    def attach_lsm(self, fn_name: Text = "") -> None:
        """Attach an LSM_PROBE program to its hook (Linux 5.7 with BPF among the active LSMs)."""
        self._attach_bound(fn_name, "lsm")

    def detach_kfunc(self, fn_name: Text = "") -> None:
        self._detach("fentry", self._bound_target(fn_name, "fentry"), fn_name)

    def detach_kretfunc(self, fn_name: Text = "") -> None:
        self._detach("fexit", self._bound_target(fn_name, "fexit"), fn_name)

    def detach_fmod_ret(self, fn_name: Text = "") -> None:
        self._detach("fmod_ret", self._bound_target(fn_name, "fmod_ret"), fn_name)

    def detach_lsm(self, fn_name: Text = "") -> None:
        self._detach("lsm", self._bound_target(fn_name, "lsm"), fn_name)

    def _attach_bound(self, fn_name: Text, family: str) -> None:
        target = self._bound_target(fn_name, family)
        function = as_text(fn_name, "fn_name")
        if any(a.function == function and a.hook.family == family for a in self._attachments):
            return  # by its name, at construction
        self._attach(Hook(family, target), function)

    def _bound_target(self, fn_name: Text, family: str) -> str:
        function = as_text(fn_name, "fn_name")
        kind = self._program(function).kind
        if kind is None or kind.context != family:
            raise AttachError(f"program {function!r} says nowhere what to attach to: name it as KFUNC_PROBE and its kin do")
        return kind.target.removeprefix("bpf_lsm_")

    # Structs of functions

    def attach_struct_ops(self, name: Text) -> None:
        """Register a struct of SEC(".struct_ops") with the kernel (Linux 5.6), as is done for all of them at construction.

        It stays until `detach_struct_ops` or the end of this object; since 6.4 it never outlives the process.
        """
        from skep.object.model import ProgramKind

        self._require_open()
        name = as_text(name, "a map's name")
        handle = self[name].handle
        register = getattr(handle, "register", None)
        if register is None:
            raise AttachError(f"map {name!r} is no struct_ops of this object")
        if name in self._attachments.places("struct_ops"):
            raise AttachError(f"struct_ops {name!r} is registered already: detach_struct_ops({name!r}) first")

        def load(function: str, target: str, member: int) -> ProgramHandle:
            kind = self._program(function).kind
            if kind is None or kind.context != "struct_ops":
                raise AttachError(f'program {function!r} of struct_ops {name!r} needs SEC("struct_ops/{function}")')
            bound = ProgramKind(kind.name, kind.type, kind.context, expected_attach_type=member, target=target, flags=kind.flags)
            return self._load(function, bound)

        with Uninterrupted():
            link = register(load)
            functions = ", ".join(handle.spec.operations.functions.values())
            self._attachments.add(Attachment(Hook("struct_ops", name), functions, link))

    def detach_struct_ops(self, name: Text) -> None:
        """Take a struct away from the kernel; what uses it now, such as a socket, goes on with it until its end."""
        self._detach("struct_ops", name)

    def read_iterator(self, fn_name: Text) -> bytes:
        """What a BPF_ITER (SEC("iter/...")) program writes for all objects of its kind (Linux 5.8)."""
        target = self._bound_target(fn_name, "iter").removeprefix("bpf_iter_")
        self._attach(Hook("iter", target), as_text(fn_name, "fn_name"))
        link: Any = next(reversed(list(self._attachments))).link
        try:
            text: bytes = link.read()
        finally:
            self._detach("iter", target, fn_name)
        return text
