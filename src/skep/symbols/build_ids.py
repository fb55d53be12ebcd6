"""Files by the build ids that linkers write into them, for stacks that have these in place of addresses (Linux 4.17)."""

from __future__ import annotations

from skep.errors import SkepError
from skep.symbols.binary import Binary
from skep.symbols.libraries import find_binary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.maps.stacks import bpf_stack_build_id

_NOTE_HEADER = 16  # sizes of name and content, type, "GNU\0"

_files: dict[bytes, Binary] = {}


def add(name: str) -> None:
    """Know a program or library by its build id."""
    binary = Binary(find_binary(name))
    note = binary.section(".note.gnu.build-id")
    if note is None:
        raise SkepError(f"{binary.path} has no build id")
    _files[note[1][_NOTE_HEADER:].ljust(20, b"\0")] = binary


def resolve(frame: bpf_stack_build_id) -> tuple[str | None, int, str] | None:
    """(function or None, bytes from its start or the file's, file) of a frame; None when no such file is known."""
    binary = _files.get(bytes(frame.build_id))
    if binary is None:
        return None
    at = binary.address_of_offset(frame.offset)
    found = None if at is None else binary.resolve(at)
    return (*found, binary.path) if found is not None else (None, frame.offset, binary.path)
