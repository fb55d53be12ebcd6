"""`skep doctor`: what this kernel and this user can do, found out by trying; each no with its reason and what to do."""

from __future__ import annotations

import argparse
import os
import sys

from skep._version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.engine.kernel.features import Feature

    Groups = dict[str, list[Feature]]

STYLES = {"yes": "green", "no": "red", "inconclusive": "yellow"}
HEADINGS = {"features": "What tracing needs", "map_types": "Map types", "program_types": "Program types"}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="skep doctor",
        description="Try what this kernel and this user can do, and say for each no the reason and the fix.",
        epilog="Exit status: 0 when this process may load BPF programs, else 1.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    from skep.engine.kernel import features
    from skep.engine.kernel.privileges import missing_for_bpf

    groups = {
        "features": features.probe_features(),
        "map_types": features.probe_map_types(),
        "program_types": features.probe_program_types(),
    }
    if options.json:
        _print_json(groups)
    elif sys.stdout.isatty():
        _print_table(groups)
    else:
        _print_plain(groups)
    return 1 if missing_for_bpf() else 0


def _machine() -> dict[str, object]:
    system = os.uname()
    return {"skep": VERSION, "kernel": system.release, "machine": system.machine, "uid": os.geteuid()}


def _title() -> str:
    machine = _machine()
    return f"Skep {machine['skep']} on Linux {machine['kernel']}, {machine['machine']}, as uid {machine['uid']}"


def _print_json(groups: Groups) -> None:
    import json

    rows = {
        name: [{field: getattr(feature, field) for field in ("name", "state", "since", "reason", "fix")} for feature in group]
        for name, group in groups.items()
    }
    print(json.dumps({**_machine(), **rows}, indent=2))


def _print_plain(groups: Groups) -> None:
    print(_title())
    for name, group in groups.items():
        print(f"\n{HEADINGS[name]}")
        for row in _rows(group):
            print(f"  {row.state:<12}  {', '.join(row.names)}{': ' if row.reason else ''}{row.reason}")
            if row.fix:
                print(f"{'':<16}fix: {row.fix}")


def _print_table(groups: Groups) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(_title())
    for name, group in groups.items():
        table = Table(title=HEADINGS[name], title_justify="left", show_header=False, box=None, pad_edge=False)
        for row in _rows(group):
            remark = "\n".join(text for text in (row.reason, f"fix: {row.fix}" if row.fix else "") if text)
            table.add_row(Text(row.state, style=STYLES[row.state]), Text(", ".join(row.names)), Text(remark))
        console.print()
        console.print(table)


class _Row:
    """Features with the same answer."""

    def __init__(self, feature: Feature) -> None:
        self.state = feature.state
        self.reason = feature.reason
        self.fix = feature.fix
        self.names: list[str] = []


def _rows(group: list[Feature]) -> list[_Row]:
    """The answers in the order in which they first appear; a missing feature is named with the Linux that brought it."""
    rows: dict[tuple[str, str, str], _Row] = {}
    for feature in group:
        row = rows.setdefault((feature.state, feature.reason, feature.fix), _Row(feature))
        name = feature.name.removeprefix("map type ").removeprefix("program type ")
        missing_since = feature.since if feature.state == "no" else ""
        row.names.append(f"{name} (Linux {missing_since})" if missing_since else name)
    return list(rows.values())
