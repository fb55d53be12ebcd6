"""`skep doctor`: what this kernel and this user can do, found out by trying; each no with its reason and what to do."""

from __future__ import annotations

import argparse
import os
import sys

from skep._version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.engine.probing import Feature

    Groups = dict[str, list[Feature]]

STYLES = {"yes": "green", "no": "red", "inconclusive": "yellow"}
HEADINGS = {
    "features": "The kernel engine: what tracing needs",
    "map_types": "The kernel engine: map types",
    "program_types": "The kernel engine: program types",
    "user_engine": "The user engine",
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="skep doctor",
        description="Try what this kernel and this user can do, and say for each no the reason and the fix.",
        epilog="Exit status: 0 when programs can run here, in the engine that is asked for (auto: in one of the two), else 1.",
    )
    parser.add_argument(
        "--engine", choices=("auto", "kernel", "user"), help="the engine that is asked for (default: $SKEP_ENGINE, or auto)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    from skep.engine.kernel import features
    from skep.engine.privileges import missing_for_bpf
    from skep.engine.user.features import COMMAND, probe_user_engine

    groups = {
        "features": features.probe_features(),
        "map_types": features.probe_map_types(),
        "program_types": features.probe_program_types(),
        "user_engine": probe_user_engine(),
    }
    works = {
        "kernel": not missing_for_bpf(),
        "user": any(feature.name == COMMAND and feature.state == "yes" for feature in groups["user_engine"]),
    }
    wanted = options.engine or os.environ.get("SKEP_ENGINE") or "auto"
    engine = next((name for name, does in works.items() if does and wanted in ("auto", name)), None)
    if options.json:
        _print_json(groups, engine)
    elif sys.stdout.isatty():
        _print_table(groups, engine)
    else:
        _print_plain(groups, engine)
    return 0 if engine else 1


def _machine() -> dict[str, object]:
    system = os.uname()
    return {"skep": VERSION, "kernel": system.release, "machine": system.machine, "uid": os.geteuid()}


def _title(engine: str | None) -> str:
    machine = _machine()
    where = f"programs run in the {engine} engine" if engine else "programs cannot run here"
    return f"Skep {machine['skep']} on Linux {machine['kernel']}, {machine['machine']}, as uid {machine['uid']}: {where}"


def _print_json(groups: Groups, engine: str | None) -> None:
    import json

    rows = {
        name: [{field: getattr(feature, field) for field in ("name", "state", "since", "reason", "fix")} for feature in group]
        for name, group in groups.items()
    }
    print(json.dumps({**_machine(), "engine": engine, **rows}, indent=2))


def _print_plain(groups: Groups, engine: str | None) -> None:
    print(_title(engine))
    for name, group in groups.items():
        print(f"\n{HEADINGS[name]}")
        for row in _rows(group):
            print(f"  {row.state:<12}  {', '.join(row.names)}{': ' if row.reason else ''}{row.reason}")
            if row.fix:
                print(f"{'':<16}fix: {row.fix}")


def _print_table(groups: Groups, engine: str | None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(_title(engine))
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
