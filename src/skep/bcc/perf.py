"""BCC's `bcc.Perf`: struct perf_event_attr as a ctypes type, and counters that only make others' tracepoints fire."""

from __future__ import annotations

import ctypes

from skep.arguments import as_number, as_pid
from skep.errors import AttachError, SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FLAGS = (
    "disabled inherit pinned exclusive exclude_user exclude_kernel exclude_hv exclude_idle mmap comm freq inherit_stat "
    "enable_on_exec task watermark precise_ip:2 mmap_data sample_id_all exclude_host exclude_guest exclude_callchain_kernel "
    "exclude_callchain_user mmap2 comm_exec use_clockid context_switch write_backward namespaces ksymbol bpf_event aux_output "
    "cgroup text_poke"
).split()


def _either(*names: str, kind: Any = ctypes.c_uint64) -> Any:
    """A union of members of one type."""
    return type("either", (ctypes.Union,), {"_fields_": [(name, kind) for name in names]})


def _flag(word: str) -> tuple[Any, ...]:
    name, _, bits = word.partition(":")
    return name, ctypes.c_uint64, int(bits or 1)


class perf_event_attr(ctypes.Structure):
    """include/uapi/linux/perf_event.h up to PERF_ATTR_SIZE_VER6 (Linux 5.5); `size` is set."""

    _anonymous_ = ("_sample", "_wakeup", "_address", "_length")
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("config", ctypes.c_uint64),
        ("_sample", _either("sample_period", "sample_freq")),
        ("sample_type", ctypes.c_uint64),
        ("read_format", ctypes.c_uint64),
        *(_flag(word) for word in _FLAGS),
        ("_wakeup", _either("wakeup_events", "wakeup_watermark", kind=ctypes.c_uint32)),
        ("bp_type", ctypes.c_uint32),
        ("_address", _either("bp_addr", "kprobe_func", "uprobe_path", "config1")),
        ("_length", _either("bp_len", "kprobe_addr", "probe_offset", "config2")),
        ("branch_sample_type", ctypes.c_uint64),
        ("sample_regs_user", ctypes.c_uint64),
        ("sample_stack_user", ctypes.c_uint32),
        ("clockid", ctypes.c_int32),
        ("sample_regs_intr", ctypes.c_uint64),
        ("aux_watermark", ctypes.c_uint32),
        ("sample_max_stack", ctypes.c_uint16),
        ("_reserved", ctypes.c_uint16),
        ("aux_sample_size", ctypes.c_uint32),
        ("_reserved_too", ctypes.c_uint32),
    )

    def __init__(self, **fields: int) -> None:
        super().__init__(size=ctypes.sizeof(type(self)), **fields)


class Perf:
    """Events that stay open until the process ends, so that counters run for programs that look at them."""

    PERF_TYPE_HARDWARE, PERF_TYPE_SOFTWARE, PERF_TYPE_TRACEPOINT, PERF_TYPE_HW_CACHE = range(4)
    PERF_SAMPLE_RAW = 1 << 10

    perf_event_attr = perf_event_attr

    @staticmethod
    def perf_event_open(tpoint_id: int, pid: int = -1, ptype: int = PERF_TYPE_TRACEPOINT, freq: int = 0) -> None:
        """Open the event `tpoint_id` of a type on every CPU, for process `pid` or all."""
        tpoint_id = as_number(tpoint_id, "tpoint_id", most=(1 << 64) - 1)
        ptype, freq = as_number(ptype, "ptype"), as_number(freq, "freq", most=(1 << 64) - 1)
        attr = perf_event_attr(type=ptype, config=tpoint_id, sample_type=Perf.PERF_SAMPLE_RAW, freq=freq > 0)
        attr.sample_period = freq or 1
        Perf.perf_custom_event_open(attr, pid)

    @staticmethod
    def perf_custom_event_open(attr: Any, pid: int = -1) -> None:
        """Open an event as `attr` says on every CPU."""
        from skep.engine.cpus import read_cpus
        from skep.engine.errnos import errno_text
        from skep.engine.kernel import syscall

        if not isinstance(attr, ctypes.Structure) or not hasattr(attr, "config"):
            raise SkepError(f"perf_custom_event_open() takes a Perf.perf_event_attr(), not {attr!r}")
        pid = as_pid(pid)
        for cpu in read_cpus("online"):
            fd = syscall.perf_event_open_attr(bytes(attr), pid=pid, cpu=cpu)
            if fd < 0:
                raise AttachError(f"perf_event_open of {attr.type}:{attr.config:#x} on CPU {cpu}: {errno_text(fd)}")
