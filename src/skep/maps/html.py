"""Views of maps as HTML tables, for notebooks: the first entries, or the title alone where a kind shows none."""

from __future__ import annotations

import ctypes
from html import escape

from skep.errors import MapError
from skep.maps.table import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from skep.maps.view import View

_SHOWN = 20


def html_table(view: View) -> str:
    """The title, and a row for each of the first entries."""
    title = f"{escape(view.name)}: {escape(view.map_type_name)}"
    entries = _entries(view)
    if entries is None:
        return f"<table><caption>{title}</caption></table>"
    count = len(entries)
    rows = [f"<tr><td>{escape(_cell(key))}</td><td>{escape(_cell(leaf))}</td></tr>" for key, leaf in entries[:_SHOWN]]
    more = f"<tr><td colspan=2>... {count - _SHOWN} more</td></tr>" if count > _SHOWN else ""
    title += f", {count} of at most {view.max_entries} entries"
    return f"<table><caption>{title}</caption><tr><th>key</th><th>value</th></tr>{''.join(rows)}{more}</table>"


def _entries(view: View) -> list[tuple[Any, Any]] | None:
    """None where there are none to show: the kind has no keys, or the kernel gives its values to nobody."""
    if not isinstance(view, Table):
        return None
    try:
        entries: list[tuple[Any, Any]] = view.items()
    except MapError:
        return None
    return entries


def _cell(value: Any) -> str:
    if isinstance(value, ctypes._SimpleCData):
        shown = value.value
        return shown.decode(errors="replace") if isinstance(shown, bytes) else str(shown)
    if isinstance(value, ctypes.Array):
        raw = getattr(value, "value", None)
        return raw.decode(errors="replace") if isinstance(raw, bytes) else f"[{', '.join(map(_cell_item, value))}]"
    if not isinstance(value, (ctypes.Structure, ctypes.Union)):
        return str(value)  # what a reducer gave
    names = [field[0] for field in value._fields_ if not field[0].startswith("__pad_")]
    return f"{{{', '.join(f'{name}: {_cell_item(getattr(value, name))}' for name in names)}}}"


def _cell_item(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return _cell(value) if isinstance(value, (ctypes.Array, ctypes.Structure, ctypes.Union)) else str(value)
