"""The `skep` command itself: help, version, unknown commands."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest
from support import ROOT

from skep.cli import COMMANDS

if TYPE_CHECKING:
    from pathlib import Path

    from support import Skep


def test_version_is_the_projects(skep: Skep) -> None:
    from skep._version import VERSION

    assert skep("--version").stdout == f"skep {VERSION}\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["version"]["path"] == "src/skep/_version.py"


def test_no_command_prints_the_usage_to_stderr(skep: Skep) -> None:
    done = skep()
    assert (done.stdout, done.returncode) == ("", 2)
    assert done.stderr.startswith("usage: skep COMMAND ...\n")


def test_unknown_command_names_the_known_ones(skep: Skep) -> None:
    done = skep("rnu")
    assert (done.stderr, done.returncode) == (f"skep: error: no command 'rnu'; there are: {', '.join(COMMANDS)}\n", 2)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(skep: Skep, command: str) -> None:
    done = skep(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: skep {command} ")


def test_version_imports_no_heavy_module(skep: Skep) -> None:
    heavy = {"llvmlite", "numpy", "rich", "argparse"}
    code = f"import sys; from skep.cli import main; main(['--version']); print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], env=skep.environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == "[]"


def test_output_that_cannot_be_written_is_told(skep: Skep) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*skep.command, "--help"], env=skep.environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, "skep: error: cannot write the output: No space left on device\n")


def test_closed_streams_are_no_fault(skep: Skep) -> None:
    words = " ".join(f"'{word}'" for word in (*skep.command, "--help"))
    done = subprocess.run(
        ["sh", "-c", f"{words} <&- >&-"],
        env=skep.environment,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_reader_that_goes_away_is_no_error(skep: Skep) -> None:
    words = " ".join(f"'{word}'" for word in (*skep.command, "disasm", "tests/maps/programs.o"))
    done = subprocess.run(
        ["sh", "-c", f"{words} | head -n 1"], cwd=ROOT, env=skep.environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_folder_that_is_gone_is_no_fault(skep: Skep, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "script.py").write_text("print('ran')\n")
    words = " ".join(f"'{word}'" for word in (*skep.command, "run", str(tmp_path / "script.py")))
    done = subprocess.run(
        ["sh", "-c", f"rmdir '{tmp_path}/gone'; {words}"],
        cwd=tmp_path / "gone",
        env=skep.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("ran\n", "", 0)


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("rnu",), (), ("disasm",)])
def test_the_package_run_as_a_module_is_the_command(skep: Skep, words: tuple[str, ...]) -> None:
    expected = skep(*words)
    done = subprocess.run(
        [sys.executable, "-m", "skep", *words], env=skep.environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == (expected.stdout, expected.stderr, expected.returncode)
    if words == ("--help",):
        assert (done.stdout[:22], done.returncode) == ("usage: skep COMMAND ..", 0)
