"""The names of the `bcc` package. `install()` makes `import bcc` mean this one, for scripts under `skep run`."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec

from skep.bpf import BPF

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

__all__ = [
    "BPF", "USDT", "ArgString", "BPFAttachType", "BPFProgType", "Perf", "PerfEventSampleFormat", "PerfHWConfig", "PerfSWConfig",
    "PerfType", "StrcmpRewrite", "SymbolCache", "USDTException", "XDPAction", "XDPFlags", "install",
]  # fmt: skip


def _constants(name: str, words: str, first: int = 0) -> type:
    """A class whose attributes are numbered in the order of `words`; BCC has plain classes, not enums."""
    return type(name, (), {word: number for number, word in enumerate(words.split(), first)})


# include/uapi/linux/bpf.h and perf_event.h
BPFProgType = _constants(
    "BPFProgType",
    "SOCKET_FILTER KPROBE SCHED_CLS SCHED_ACT TRACEPOINT XDP PERF_EVENT CGROUP_SKB CGROUP_SOCK LWT_IN LWT_OUT LWT_XMIT SOCK_OPS "
    "SK_SKB CGROUP_DEVICE SK_MSG RAW_TRACEPOINT CGROUP_SOCK_ADDR LWT_SEG6LOCAL LIRC_MODE2 SK_REUSEPORT FLOW_DISSECTOR "
    "CGROUP_SYSCTL RAW_TRACEPOINT_WRITABLE CGROUP_SOCKOPT TRACING STRUCT_OPS EXT LSM",
    1,
)
BPFAttachType = _constants(
    "BPFAttachType",
    "CGROUP_INET_INGRESS CGROUP_INET_EGRESS CGROUP_INET_SOCK_CREATE CGROUP_SOCK_OPS SK_SKB_STREAM_PARSER SK_SKB_STREAM_VERDICT "
    "CGROUP_DEVICE SK_MSG_VERDICT CGROUP_INET4_BIND CGROUP_INET6_BIND CGROUP_INET4_CONNECT CGROUP_INET6_CONNECT "
    "CGROUP_INET4_POST_BIND CGROUP_INET6_POST_BIND CGROUP_UDP4_SENDMSG CGROUP_UDP6_SENDMSG LIRC_MODE2 FLOW_DISSECTOR "
    "CGROUP_SYSCTL CGROUP_UDP4_RECVMSG CGROUP_UDP6_RECVMSG CGROUP_GETSOCKOPT CGROUP_SETSOCKOPT TRACE_RAW_TP TRACE_FENTRY "
    "TRACE_FEXIT MODIFY_RETURN LSM_MAC TRACE_ITER CGROUP_INET4_GETPEERNAME CGROUP_INET6_GETPEERNAME CGROUP_INET4_GETSOCKNAME "
    "CGROUP_INET6_GETSOCKNAME XDP_DEVMAP CGROUP_INET_SOCK_RELEASE XDP_CPUMAP SK_LOOKUP XDP SK_SKB_VERDICT",
)
PerfType = _constants("PerfType", "HARDWARE SOFTWARE TRACEPOINT HW_CACHE RAW BREAKPOINT")
PerfHWConfig = _constants(
    "PerfHWConfig",
    "CPU_CYCLES INSTRUCTIONS CACHE_REFERENCES CACHE_MISSES BRANCH_INSTRUCTIONS BRANCH_MISSES BUS_CYCLES STALLED_CYCLES_FRONTEND "
    "STALLED_CYCLES_BACKEND REF_CPU_CYCLES",
)
PerfSWConfig = _constants(
    "PerfSWConfig",
    "CPU_CLOCK TASK_CLOCK PAGE_FAULTS CONTEXT_SWITCHES CPU_MIGRATIONS PAGE_FAULTS_MIN PAGE_FAULTS_MAJ ALIGNMENT_FAULTS "
    "EMULATION_FAULTS DUMMY BPF_OUTPUT",
)
# enum perf_event_sample_format; bits
_SAMPLES = (
    "IP TID TIME ADDR READ CALLCHAIN ID CPU PERIOD STREAM_ID RAW BRANCH_STACK REGS_USER STACK_USER WEIGHT DATA_SRC IDENTIFIER "
    "TRANSACTION REGS_INTR PHYS_ADDR AUX CGROUP DATA_PAGE_SIZE CODE_PAGE_SIZE WEIGHT_STRUCT"
).split()
PerfEventSampleFormat = type("PerfEventSampleFormat", (), {name: 1 << bit for bit, name in enumerate(_SAMPLES)})
XDPAction = _constants("XDPAction", "XDP_ABORTED XDP_DROP XDP_PASS XDP_TX XDP_REDIRECT")
# include/uapi/linux/if_link.h
_XDP_FLAGS = ("UPDATE_IF_NOEXIST", "SKB_MODE", "DRV_MODE", "HW_MODE", "REPLACE")
XDPFlags = type("XDPFlags", (), {f"XDP_FLAGS_{name}": 1 << bit for bit, name in enumerate(_XDP_FLAGS)})


class _Finder:
    """Answers for `bcc` and what is below it with the modules of `skep.bcc` themselves, so that none exists twice."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "bcc" and not name.startswith("bcc."):
            return None
        real = "skep." + name
        try:
            module = import_module(real)
        except ModuleNotFoundError as error:
            if error.name != real:
                raise
            raise ModuleNotFoundError(f"No module named {name!r}: Skep's bcc has no such part", name=name) from None
        return ModuleSpec(name, _Loader(module), is_package=hasattr(module, "__path__"))


class _Loader(Loader):
    """Hands out a module that is loaded already, and keeps its own name and spec."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, _spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def install() -> None:
    """Make `import bcc` mean `skep.bcc` in this process, also where the real BCC is installed. Twice is once."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


# What most scripts do without is imported when it is asked for
_LATER = {
    "USDT": "skep.usdt", "USDTException": "skep.usdt", "ArgString": "skep.bcc.utils", "StrcmpRewrite": "skep.bcc.utils",
    "Perf": "skep.bcc.perf", "SymbolCache": "skep.bcc.symbols", "lib": "skep.bcc.libbcc",
}  # fmt: skip
_MODULES = ("containers", "disassembler", "exec", "libbcc", "perf", "syscall", "table", "tcp", "utils")


def __getattr__(name: str) -> object:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    if name in _MODULES:  # `import bcc` is enough for bcc.utils
        return import_module(f"skep.bcc.{name}")
    raise AttributeError(f"module 'bcc' has no attribute {name!r}")
