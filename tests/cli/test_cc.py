"""`skep cc` and `skep disasm`: what they write, checked with bpftool and llvm-objdump."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from support import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from support import Skep

HELLO_MAP = str(ROOT / "examples" / "hello_map.c")


def tool(*names: str) -> str:
    for name in names:
        if path := shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"):
            return path
    pytest.skip(f"{names[0]} is not installed")


def test_object_goes_beside_the_caller_under_the_files_name(skep: Skep, tmp_path: Path) -> None:
    done = skep("cc", HELLO_MAP, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "hello_map.o").read_bytes()[:4] == b"\x7fELF"


def test_llvm_objdump_disassembles_the_object(skep: Skep, tmp_path: Path) -> None:
    objdump = tool("llvm-objdump")
    skep("cc", HELLO_MAP, "-o", str(tmp_path / "x.o"))
    shown = subprocess.run([objdump, "-d", str(tmp_path / "x.o")], capture_output=True, text=True, check=True).stdout
    assert "elf64-bpf" in shown
    assert "<hello>:" in shown
    assert "call 1\n" in shown  # bpf_map_lookup_elem
    assert "call 2\n" in shown  # bpf_map_update_elem


@pytest.mark.kernel
def test_bpftool_loads_the_object(skep: Skep, tmp_path: Path) -> None:
    bpftool, unshare = tool("bpftool"), tool("unshare")
    skep("cc", HELLO_MAP, "-o", str(tmp_path / "x.o"))
    # In a mount namespace of its own, with a bpffs that goes away with it: bpftool would mount one for the whole machine.
    script = 'mount -t bpf bpf "$1" && "$2" prog load "$3" "$1/hello" && "$2" prog show pinned "$1/hello"'
    (tmp_path / "bpffs").mkdir()
    words = ("sh", "-c", script, "sh", str(tmp_path / "bpffs"), bpftool, str(tmp_path / "x.o"))
    done = subprocess.run([unshare, "--mount", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert " name hello " in done.stdout


def test_disasm_shows_the_lines_of_c_and_the_names_of_maps_and_helpers(skep: Skep, tmp_path: Path) -> None:
    skep("cc", HELLO_MAP, "-o", str(tmp_path / "x.o"))
    lines = skep("disasm", str(tmp_path / "x.o")).stdout.splitlines()
    assert lines[0].startswith("hello (kprobe): ")
    at = lines.index("; p = counter_table.lookup(&uid);")
    assert "(18) r1 = map[counter_table]" in lines[at + 1]
    assert "(85) call bpf_map_lookup_elem#1" in lines[at + 2]


def test_disasm_of_something_else_is_an_error(skep: Skep) -> None:
    done = skep("disasm", "/etc/passwd")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("skep: error: /etc/passwd: not an ELF file")


def test_preprocessed_text_goes_to_standard_output(skep: Skep, tmp_path: Path) -> None:
    (tmp_path / "x.c").write_text("#ifdef A\nint a = A;\n#else\nint b;\n#endif\n")
    assert skep("cc", "-E", "-D", "A=5", "x.c", cwd=tmp_path).stdout.split() == ["int", "a", "=", "5;"]
    assert skep("cc", "-E", "-DA=5", "-UA", "x.c", cwd=tmp_path).stdout.split() == ["int", "b;"]


def test_assembly_and_llvm_ir_go_to_files_of_their_kind(skep: Skep, tmp_path: Path) -> None:
    assert skep("cc", "-S", HELLO_MAP, cwd=tmp_path).returncode == 0
    assert "call 1" in (tmp_path / "hello_map.s").read_text()
    assert skep("cc", "--emit-llvm", HELLO_MAP, cwd=tmp_path).returncode == 0
    assert "define " in (tmp_path / "hello_map.ll").read_text()


def test_host_program_runs_and_its_result_is_the_exit_status(skep: Skep, tmp_path: Path) -> None:
    (tmp_path / "x.c").write_text(
        "int puts(const char *text);\nint main(int argc, char **argv) {\n    puts(argv[1]);\n    return 40 + argc;\n}\n"
    )
    done = skep("cc", "--target", "host", "--run", "x.c", "word", cwd=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("word\n", "", 42)


def test_run_of_a_bpf_program_is_refused(skep: Skep) -> None:
    done = skep("cc", "--run", HELLO_MAP)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "skep: error: --run needs --target host: a BPF program runs where it is attached (skep run)\n"


def test_file_that_cannot_be_read_or_written_is_an_error(skep: Skep, tmp_path: Path) -> None:
    assert skep("cc", "none.c", cwd=tmp_path).stderr == "skep: error: cannot read 'none.c': No such file or directory\n"
    done = skep("cc", HELLO_MAP, "-o", "none/x.o", cwd=tmp_path)
    assert done.stderr == "skep: error: cannot write 'none/x.o': No such file or directory\n"


def test_program_without_main_is_told(skep: Skep, tmp_path: Path) -> None:
    (tmp_path / "x.c").write_text("int f(void) { return 0; }\n")
    done = skep("cc", "--target", "host", "--run", "x.c", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "skep: error: --run: the program has no main()\n")


def test_signal_that_ends_the_program_is_told(skep: Skep, tmp_path: Path) -> None:
    (tmp_path / "x.c").write_text("int main(void) { return *(volatile int *)8; }\n")
    done = skep("cc", "--target", "host", "--run", "x.c", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "skep: error: --run: the program was ended by SIGSEGV (Segmentation fault)\n")


def test_object_without_programs_is_told(skep: Skep, tmp_path: Path) -> None:
    (tmp_path / "x.c").write_text("BPF_HASH(counts);\n")
    assert skep("cc", "x.c", cwd=tmp_path).returncode == 0
    assert skep("disasm", "x.o", cwd=tmp_path).stderr == "skep: error: 'x.o' has no programs; its maps: counts\n"


def test_json_gives_a_line_for_each_message(skep: Skep, tmp_path: Path) -> None:
    import json

    file = tmp_path / "a.c"
    file.write_text("BPF_HASH(h);\nint f(void *ctx) { u64 k = 1; *h.lookup(&k) += 1; return 0; }\n")
    done = skep("cc", "--json", str(file), "-o", str(tmp_path / "a.o"))
    (message,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 0
    assert (message["severity"], message["code"], message["line"], message["column"]) == ("warning", "null-lookup", 2, 32)
    file.write_text("int f(void *ctx) { int unset; return unset + nosuch + ctx->x; }\n")
    done = skep("cc", "--json", str(file), "-o", str(tmp_path / "a.o"))
    messages = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert [message["code"] for message in messages] == ["undeclared", "member"]
    assert done.stdout == ""


def test_json_of_an_error_without_a_place(skep: Skep, tmp_path: Path) -> None:
    import json

    file = tmp_path / "a.c"
    file.write_text("u64 a, b;\nint f(void *ctx) { unsigned __int128 x = a; return (x << 60) / b; }\n")
    (line,) = skep("cc", "--json", str(file), "-o", str(tmp_path / "a.o")).stderr.splitlines()
    assert json.loads(line)["severity"] == "error"
    assert "__udivti3" in json.loads(line)["message"] or "division" in json.loads(line)["message"]


def test_v_says_which_headers_are_taken_as_empty(skep: Skep, tmp_path: Path) -> None:
    file = tmp_path / "a.c"
    file.write_text("#include <linux/nothere.h>\nint f(void *ctx) { return 0; }\n")
    assert skep("cc", str(file), "-o", str(tmp_path / "a.o")).stderr == ""
    assert "kernel header <linux/nothere.h> is taken as empty" in skep("cc", "-v", str(file), "-o", str(tmp_path / "a.o")).stderr
