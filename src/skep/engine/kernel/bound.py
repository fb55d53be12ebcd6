"""Programs that are bound to their place when they are loaded: fentry, fexit, fmod_ret (5.5), LSM (5.7), tp_btf (5.5)."""

from __future__ import annotations

from skep.engine.kernel import raw_tracepoint
from skep.engine.kernel.ladder import KernelLink, Refused, Rung, climb, near_names
from skep.engine.kernel.relocations import find_kernel_type
from skep.errors import UnsupportedError
from skep.object.kinds import kind_for_section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from skep.engine import Hook, ProgramHandle
    from skep.engine.kernel import KernelEngine
    from skep.object.model import ProgramKind

_KINDS = {"btf_trace_": "typedef", "": "func"}


def attach(engine: KernelEngine, hook: Hook, load: Callable[[ProgramKind], ProgramHandle]) -> KernelLink:
    """Attach to `hook.target`: a function of the kernel's (or "MODULE:function"), an LSM hook, a tracepoint's name."""
    kind = kind_for_section(f"{hook.family}/{hook.target}")
    assert kind is not None
    rung = Rung(f"{hook.family} link", kind, lambda: _require(kind.target), raw_tracepoint.attach_bound)
    return climb(hook, (rung,), load, lambda: _near(kind.target))


def _btf_kind(target: str) -> str:
    return next(kind for prefix, kind in _KINDS.items() if target.startswith(prefix))


def _require(target: str) -> None:
    try:
        found = find_kernel_type(target, _btf_kind(target))
    except UnsupportedError as error:
        raise Refused(str(error)) from None
    if found is None:
        raise Refused(f"neither the kernel's BTF nor a loaded module's has {target!r}")


def _near(target: str) -> list[str]:
    from skep.btf import kernel_btf

    return near_names(target.rpartition(":")[2], kernel_btf().name_candidates(_btf_kind(target)))
