"""Work that a KeyboardInterrupt ends at any moment: what it opened must be closed all the same."""

from __future__ import annotations

import gc
import random
import signal
from typing import TYPE_CHECKING

from support import open_files, own_children

from skep.llvm_server import release

if TYPE_CHECKING:
    from collections.abc import Callable

    from skep import BPF


def loses_nothing(work: Callable[[int, list[BPF]], None], *, rounds: int, longest: float) -> None:
    """Rounds of the work, most of them interrupted once, after at most `longest` seconds; some must have been.

    `work(number, opened)` puts the BPF object that it made into the list, as soon as it has it.
    """
    chance = random.Random(11)
    armed, interrupted = False, 0

    def interrupt(*_: object) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise KeyboardInterrupt

    release()  # the compiler's kept process has fds of its own
    files, children = open_files(), own_children()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for number in range(rounds):
            opened: list[BPF] = []
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0001, longest))
            armed = True
            try:
                work(number, opened)
                armed = False
            except KeyboardInterrupt:
                interrupted += 1
            finally:
                armed = False
                signal.setitimer(signal.ITIMER_REAL, 0)
            for bpf in opened:
                bpf.cleanup()
            opened.clear()
    finally:
        signal.signal(signal.SIGALRM, before)
    gc.collect()
    assert interrupted
    release()
    assert open_files() == files
    assert own_children() <= children
