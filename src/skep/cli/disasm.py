"""`skep disasm`: the programs of an object file in the kernel's syntax, with their C lines."""

from __future__ import annotations

import argparse


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="skep disasm", description="Print the programs of a BPF object file.")
    parser.add_argument("object", metavar="OBJECT", help="an object file, written by `skep cc` or by clang")
    options = parser.parse_args(arguments)
    return 0
