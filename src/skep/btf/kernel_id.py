"""Which kernel this is, as bytes for cache keys: cheap, so no hash over its 5 MB of BTF."""

from __future__ import annotations

import os


def kernel_identity(btf_path: str = "/sys/kernel/btf/vmlinux") -> bytes:
    """Release, version, machine, ELF notes (they hold the build id) and size of the BTF.

    The notes alone do not do: some hypervisors boot a kernel whose notes are those of another build.
    """
    system = os.uname()
    try:
        with open("/sys/kernel/notes", "rb") as notes:
            build = notes.read()
    except OSError:  # not readable in every container; release and version still tell kernels apart
        build = b""
    try:
        size = os.stat(btf_path).st_size
    except OSError:
        size = 0
    text = f"{system.release}\0{system.version}\0{system.machine}\0{btf_path}\0{size}\0"
    return text.encode() + build
