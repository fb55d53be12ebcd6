"""Runs every command that the documents show and compares what it prints (the conventions: CONTRIBUTING.md)."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support import ROOT, Skep

from skep.compiler import compile_source
from skep.engine.formats import tracepoint_members
from skep.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- file: (?P<file>\S+) -->\n)?^```(?P<language>\w*)(?P<wrong> wrong)?\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
NEEDS_KERNEL = re.compile(r"skep (run|demo|tools)\b|python3? ")


class Command(NamedTuple):
    document: Path
    line: int
    command: str
    output: str
    files: dict[str, str]  # that the document gave before


def commands() -> list[Command]:
    found = []
    for document in DOCUMENTS:
        files: dict[str, str] = {}
        text = document.read_text()
        for block in BLOCK.finditer(text):
            if block["file"]:
                files[block["file"]] = block["text"]
            if block["language"] == "console":
                first = text.count("\n", 0, block.start("text")) + 1
                for part in re.finditer(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block["text"], re.MULTILINE):
                    line = first + block["text"].count("\n", 0, part.start())
                    found.append(Command(document, line, part[1], part[2], dict(files)))
    return found


def needs_kernel(command: Command) -> bool:
    """Does it load a program, or compile one that needs the format of a tracepoint (tracefs is root's)?"""
    used = [text for name, text in command.files.items() if name.partition(".")[0] in command.command]
    if "--engine user" in command.command or any('engine="user"' in text for text in used):
        return False
    return bool(NEEDS_KERNEL.search(command.command)) or any("TRACEPOINT_PROBE" in text for text in used)


def parameters() -> list[object]:
    return [
        pytest.param(
            command,
            id=f"{command.document.relative_to(ROOT)}:{command.line}",
            marks=[pytest.mark.kernel] if needs_kernel(command) else [],
        )
        for command in commands()
    ]


def matches(expected: str, output: str) -> bool:
    """Whether the output is what is shown, where `...` is any text of a line and a line `...` any number of lines."""
    pattern = ""
    for line in expected.splitlines():
        pattern += r"(?:.*\n)*?" if line == "..." else r"[^\n]*?".join(map(re.escape, line.split("..."))) + "\n"
    return re.fullmatch(pattern, output) is not None


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """A folder for each document, in which its commands run one after the other; the examples are there as in the checkout."""
    made: dict[Path, Path] = {}

    def folder_of(document: Path) -> Path:
        if document not in made:
            folder = made[document] = tmp_path_factory.mktemp(document.stem)
            (folder / "examples").symlink_to(ROOT / "examples")
            (folder / "bin").mkdir()
            for name, words in (("skep", Skep.command), ("python", (sys.executable,))):
                path = folder / "bin" / name
                path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
                path.chmod(0o755)
        return made[document]

    return folder_of


@pytest.mark.parametrize("command", parameters())
def test_command_prints_what_the_document_shows(command: Command, folders: Callable[[Path], Path], skep: Skep) -> None:
    folder = folders(command.document)
    for name, text in command.files.items():
        (folder / name).write_text(text)
    environment = {**skep.environment, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", command.command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
        check=False,
    )
    assert matches(command.output, done.stdout), f"$ {command.command}\n{done.stdout}\n--- expected:\n{command.output}"


def c_blocks() -> list[object]:
    return [
        pytest.param(
            block["text"],
            bool(block["wrong"]),
            id=f"{document.relative_to(ROOT)}:{block['file']}",
            marks=[pytest.mark.kernel] if "TRACEPOINT_PROBE" in block["text"] else [],
        )
        for document in DOCUMENTS
        for block in BLOCK.finditer(document.read_text())
        if block["language"] == "c"
    ]


@pytest.mark.parametrize(("text", "wrong"), c_blocks())
def test_c_block_compiles_unless_it_shows_a_mistake(text: str, wrong: bool) -> None:
    try:
        compile_source(text, tracepoint_fields=tracepoint_members)
    except CompileError:
        assert wrong
    else:
        assert not wrong


def test_documents_have_commands() -> None:
    assert {command.document.name for command in commands()} >= {"README.md"}


@pytest.mark.parametrize(
    ("expected", "output", "match"),
    [
        ("a\n", "a\n", True),
        ("a\n", "a\nb\n", False),
        ("a ... c\n", "a b c\n", True),
        ("a ... c\n", "a b\nc\n", False),
        ("a\n...\n", "a\n", True),
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("...\nd\n", "a\nd\ne\n", False),
        ("a.c\n", "abc\n", False),
    ],
)
def test_ellipsis_stands_for_text_or_lines(expected: str, output: str, match: bool) -> None:
    assert matches(expected, output) is match


@pytest.mark.parametrize("target", ["demo", "test", "check", "bench"])
def test_make_has_the_targets_that_the_documents_name(target: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "--dry-run", target, f"VENV={tmp_path}/venv"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path}/venv/bin/" in done.stdout


def test_links_between_documents_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document}: {target}"
        for target in re.findall(r"`((?:docs|examples|bench|tests)/[\w./-]*)`", document.read_text()):
            assert (ROOT / target).exists(), f"{document}: {target}"
