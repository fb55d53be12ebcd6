"""`skep disasm`: the programs of an object file in the kernel's syntax, below the lines of C that they come from."""

from __future__ import annotations

import argparse

from skep.errors import SkepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.object.model import Object, ProgramSpec

# How the texts of relocated instructions look, as in bpftool's dumps
SYMBOLS = {"map": "map[{0}]", "map_value": "map[{0}]+{1}", "kfunc": "{0}"}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="skep disasm", description="Print the programs of a BPF object file with their lines of C."
    )
    parser.add_argument("object", metavar="OBJECT", help="an object file, written by `skep cc` or by clang")
    options = parser.parse_args(arguments)
    from skep import load_object

    loaded = load_object(options.object)
    if not loaded.programs:
        raise SkepError(f"{options.object!r} has no programs; its maps: {', '.join(loaded.maps) or 'none'}")
    print("\n\n".join("\n".join(_listing(program, loaded)) for program in loaded.programs.values()))
    return 0


def _listing(program: ProgramSpec, owner: Object) -> list[str]:
    from skep.bytecode import disassemble
    from skep.compiler.helpers import HELPERS

    helpers = {number: f"bpf_{name}" for name, (number, _, _) in HELPERS.items()}
    symbols = {item.insn: SYMBOLS[item.kind].format(item.symbol, item.offset) for item in program.relocations}
    functions, sources = {}, {}
    if owner.btf is not None:
        functions = {insn: getattr(owner.btf.type(id), "name", "") for insn, id in program.functions}
        sources = {insn: owner.btf.string(line).strip() for insn, _, line, _ in program.lines}
    listing = [f"{program.name} ({program.section}): {len(program.instructions) // 8} instructions"]
    shown = ""
    for text in disassemble(program.instructions, symbols, helpers):
        insn = int(text.partition(":")[0])
        if insn and insn in functions:
            listing += ["", f"{functions[insn]}:"]
        source = sources.get(insn, shown)
        if source and source != shown:
            listing.append(f"; {source}")
        shown = source
        listing.append(text)
    return listing
