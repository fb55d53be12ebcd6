"""The cache: what was put comes back whole, and whatever cannot be trusted is as good as not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import PATIENCE

from skep import cache as cache_module
from skep.cache import Cache, default_folder


def entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def test_what_was_put_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "cache"
    cache = Cache(str(folder))
    key = cache.key("object", b"text", "flags")
    assert cache.get(key) is None
    cache.put(key, b"first")
    cache.put(key, b"second" * 1000)
    assert Cache(str(folder)).get(key) == b"second" * 1000
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [entry.stat().st_mode & 0o777 for entry in entries(folder)] == [0o600]


def test_keys_tell_parts_apart(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path))
    assert len({cache.key("ab", "c"), cache.key("a", "bc"), cache.key("abc"), cache.key("abc", "")}) == 4
    assert cache.key("x") == cache.key(b"x")


@pytest.mark.parametrize("damage", ["cut", "flip", "longer", "empty", "magic", "other key", "other version"])
def test_a_broken_or_foreign_entry_is_a_miss_and_is_rewritten(
    tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache"
    cache = Cache(str(folder))
    key = cache.key("a")
    if damage == "other version":
        monkeypatch.setattr(cache_module, "VERSION", "0.0.older")
    cache.put(key if damage != "other key" else cache.key("b"), b"content" * 10)
    monkeypatch.undo()
    (entry,) = entries(folder)
    data = entry.read_bytes()
    flipped = data[:40] + bytes([data[40] ^ 1]) + data[41:]
    damaged = {"cut": data[:-1], "flip": flipped, "longer": data + b"x", "empty": b"", "magic": b"XXXX" + data[4:]}
    Path(cache._path(key)).write_bytes(damaged.get(damage, data))
    assert cache.get(key) is None
    cache.put(key, b"good")
    assert cache.get(key) == b"good"


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o707, 0o777])
def test_a_folder_that_others_can_use_is_ignored(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "cache"
    Cache(str(folder)).put("key", b"data")
    folder.chmod(mode)
    cache = Cache(str(folder))
    assert cache.get("key") is None
    cache.put("key", b"other")
    folder.chmod(0o700)
    assert Cache(str(folder)).get("key") == b"data"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_another_users_folder_is_ignored(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    Cache(str(folder)).put("key", b"data")
    os.chown(folder, 65534, 65534)
    assert Cache(str(folder)).get("key") is None
    # Nor is a folder made inside another user's: it would shut that user out.
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    Cache(str(home / ".cache" / "skep")).put("key", b"data")
    assert entries(home) == []


def test_a_place_that_cannot_be_written_is_no_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/skep")):
        cache = Cache(str(folder))
        cache.put("key", b"data")
        assert cache.get("key") is None


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    # The file size limit of the process stands for the full disk: write(2) fails half-way in the same manner.
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from skep.cache import Cache\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "Cache(sys.argv[1]).put('key', b'x' * 100000)\n"
    )
    folder = tmp_path / "cache"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True, env=environment)
    assert folder.exists()
    assert entries(folder) == []


def test_the_oldest_entries_make_room(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    cache = Cache(str(folder), limit=10_000)
    for number in range(10):
        cache.put(f"key{number}", bytes(2000))
        os.utime(cache._path(f"key{number}"), (1000 + number, 1000 + number))
    kept = [number for number in range(10) if cache.get(f"key{number}") is not None]
    assert kept == [6, 7, 8, 9]
    cache.put("huge", bytes(10_001))
    assert cache.get("huge") is None
    assert cache.get("key9") is not None


def test_unfinished_files_of_dead_writers_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    cache = Cache(str(folder))
    cache.put("key", b"data")
    old, new = Path(cache._path("key") + ".1.old"), Path(cache._path("key") + ".1.new")
    old.write_text("x")
    new.write_text("x")
    os.utime(old, (1000, 1000))
    cache.put("other", b"data")
    assert (old.exists(), new.exists()) == (False, True)


def test_environment_chooses_the_folder_and_turns_it_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKEP_CACHE_DIR", str(tmp_path / "chosen"))
    assert default_folder() == str(tmp_path / "chosen")
    monkeypatch.delenv("SKEP_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == str(tmp_path / "skep")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_folder() == "/home/someone/.cache/skep"
    monkeypatch.setenv("SKEP_CACHE", "0")
    cache = Cache(str(tmp_path / "off"))
    cache.put("key", b"data")
    assert not cache.enabled
    assert cache.get("key") is None
    assert not (tmp_path / "off").exists()


def test_writers_at_the_same_time_leave_one_whole_entry(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    script = (
        "import sys; from skep.cache import Cache; cache = Cache(sys.argv[1])\n"
        "for n in range(200):\n"
        "    cache.put('key', sys.argv[2].encode() * 5000)\n"
        "    assert len(set(cache.get('key'))) == 1\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = [subprocess.Popen([sys.executable, "-c", script, str(folder), letter], env=environment) for letter in "abc"]
    assert [process.wait(timeout=4 * PATIENCE) for process in running] == [0, 0, 0]
    assert len(entries(folder)) == 1
