"""Keeps compiled objects and indexes on disk: bytes by key, private to the user, never required.

An entry that is broken, foreign or of another version is as good as none; a folder that cannot be trusted or written is no cache.
"""

from __future__ import annotations

import os
import zlib
from struct import Struct

from skep._version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER = Struct("<4sIQ")  # magic, checksum of key, version and data, length of the data
_MAGIC = b"SKC1"
_SUFFIX = ".entry"
_PARTIAL_AGE = 3600  # seconds after which another process's unfinished file is rubbish


def default_folder() -> str:
    """$SKEP_CACHE_DIR, else $XDG_CACHE_HOME/skep, else ~/.cache/skep."""
    if chosen := os.environ.get("SKEP_CACHE_DIR"):
        return chosen
    base = os.environ.get("XDG_CACHE_HOME", "")
    return os.path.join(base if os.path.isabs(base) else os.path.expanduser("~/.cache"), "skep")


class Cache:
    """Bytes by key in one folder; `enabled` is False with SKEP_CACHE=0, and every call is then a miss or does nothing."""

    __slots__ = ("_checked", "enabled", "folder", "limit")

    def __init__(self, folder: str | None = None, *, limit: int = 256 << 20) -> None:
        self.folder = folder or default_folder()
        self.limit = limit
        self.enabled = os.environ.get("SKEP_CACHE") != "0"
        self._checked = False

    def key(self, *parts: str | bytes) -> str:
        """A key from parts; each is hashed with its length, so ("ab", "c") and ("a", "bc") differ."""
        from hashlib import blake2b  # 1.5 ms, only spent where there is something to look up

        digest = blake2b(digest_size=24, person=b"skep")
        for part in (VERSION, *parts):
            data = part.encode() if isinstance(part, str) else part
            digest.update(len(data).to_bytes(8, "little") + data)
        return digest.hexdigest()

    def get(self, key: str | bytes) -> bytes | None:
        """What was put under this key, None if nothing usable is there."""
        if not self._usable():
            return None
        try:
            with open(self._path(key), "rb") as file:
                entry = file.read()
        except OSError:
            return None
        if len(entry) < _HEADER.size:
            return None
        magic, checksum, length = _HEADER.unpack_from(entry)
        data = entry[_HEADER.size :]
        return data if magic == _MAGIC and length == len(data) and checksum == _checksum(key, data) else None

    def put(self, key: str | bytes, data: bytes) -> None:
        """Keeps data under this key: whole or not at all. A folder that cannot be written is left as it is."""
        if len(data) > self.limit or not self._usable(create=True):
            return
        entry = _HEADER.pack(_MAGIC, _checksum(key, data), len(data)) + data
        path = self._path(key)
        partial = f"{path}.{os.getpid()}.{os.urandom(4).hex()}"
        try:
            self._make_room(len(entry))
            fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                with open(fd, "wb") as file:
                    file.write(entry)
                os.rename(partial, path)
            except OSError:
                os.unlink(partial)
        except OSError:  # full or read-only disk: the next start is slower, nothing is lost
            return

    def _path(self, key: str | bytes) -> str:
        name = key.encode() if isinstance(key, str) else key
        return os.path.join(self.folder, name.hex() if not name.isalnum() else name.decode()) + _SUFFIX

    def _usable(self, *, create: bool = False) -> bool:
        """Whether the folder is ours alone: objects from it are given to the kernel, so nobody else may write there."""
        if not self.enabled or self._checked:
            return self.enabled
        try:
            if create and not os.path.lexists(self.folder):
                self._create()
            status = os.stat(self.folder)
        except FileNotFoundError:
            return False
        except OSError:
            self.enabled = False
            return False
        self.enabled = status.st_uid == os.geteuid() and status.st_mode & 0o170077 == 0o040000
        self._checked = self.enabled
        return self.enabled

    def _create(self) -> None:
        parent = os.path.dirname(os.path.abspath(self.folder))
        existing = parent
        while not os.path.exists(existing):
            existing = os.path.dirname(existing)
        # Under `sudo -E`, HOME is another user's: a folder of root's there would shut that user out of his own cache.
        if os.stat(existing).st_uid not in (0, os.geteuid()):
            raise PermissionError(f"{existing} belongs to another user")
        os.makedirs(parent, exist_ok=True)
        try:
            os.mkdir(self.folder, 0o700)
        except FileExistsError:  # another process was first
            pass

    def _make_room(self, size: int) -> None:
        entries = sorted(self._entries())
        total = size + sum(entry[1] for entry in entries)
        for _, length, path in entries:
            if total <= self.limit:
                return
            _remove(path)
            total -= length

    def _entries(self) -> Iterator[tuple[float, int, str]]:
        """(time written, size, path) of the finished entries; unfinished files that nobody writes any more are removed."""
        with os.scandir(self.folder) as files:
            for file in files:
                if _SUFFIX not in file.name:
                    continue
                try:
                    status = file.stat(follow_symlinks=False)
                except FileNotFoundError:  # another process made room
                    continue
                if file.name.endswith(_SUFFIX):
                    yield status.st_mtime, status.st_size, file.path
                elif status.st_mtime < _now() - _PARTIAL_AGE:
                    _remove(file.path)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:  # another process was first
        pass


def _now() -> float:
    import time

    return time.time()


def _checksum(key: str | bytes, data: bytes) -> int:
    name = key.encode() if isinstance(key, str) else key
    return zlib.crc32(data, zlib.crc32(name + b"\0" + VERSION.encode()))
