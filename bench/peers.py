"""BCC as a peer of the benches: Debian's python3-bpfcc, with the kernel headers that it needs."""

from __future__ import annotations

import glob
import os

BCC_PYTHON = "/usr/bin/python3"


def bcc_environment() -> dict[str, str] | None:
    """The environment in which BCC finds headers: BCC_KERNEL_SOURCE, the tree of shared/vm/setup.sh, or the running kernel's.

    None where BCC is not installed or there are no headers.
    """
    if not os.path.isdir("/usr/lib/python3/dist-packages/bcc"):
        return None
    home = os.environ.get("VM_KERNELS", os.path.expanduser("~/.cache/vm-kernels"))
    trees = [
        os.environ.get("BCC_KERNEL_SOURCE", ""),
        *sorted(glob.glob(os.path.join(home, "merged-*"))),
        f"/lib/modules/{os.uname().release}/build",
    ]
    found = next(filter(os.path.isdir, trees), None)
    return {**os.environ, "BCC_KERNEL_SOURCE": found} if found else None
