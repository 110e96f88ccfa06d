"""The names that a flow may give, checked where they are read: what is let in here fits every file that is written.

promptflow has no rule for most of them. Spaces, hyphens and the letters of any language stay; what cannot be seen, what
ends a line, and what leads to another folder does not. A value that holds such characters is nobody's concern here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from flowpack.errors import InputError, Location
from flowpack.quoting import UNPRINTABLE, one_line

Kind = Literal["connection", "key", "variable", "input", "output", "node", "variant", "flow"]

_LONGEST = 200
"""Bytes of UTF-8: with an ending, or a key behind it, it still is the name of a file or of a variable."""

_UNPRINTABLE = re.compile(f"[{UNPRINTABLE}]")

# A connection's name names a file, and begins the names of its variables; its keys and the flow's variables are such.
_FORBIDDEN: dict[str, str] = {
    "connection": r"""[/\\:=$%{}<>"'`|?*;&#!]""",
    "key": r"""[/\\=$%{}<>"'`|;&#!]""",
    "variable": r"""[=${}"'`\\\s]""",
}
_CALLED = {"key": "key of a connection", "variable": "environment variable"}


class Wrong(NamedTuple):
    message: str
    hint: str


def what_is_wrong(kind: Kind, name: str) -> Wrong | None:
    """Why the name is refused, and the nearest one that is not."""
    reason = _reason(kind, name)
    if reason is None:
        return None
    called = _CALLED.get(kind, kind)
    article = "an" if called[0] in "aeiou" else "a"
    shown = one_line(name if len(name) <= 80 else name[:79] + "…")
    near = _nearest(kind, name)
    hint = f"rename it: '{near}', for example" if near else "give it a name of letters and digits"
    return Wrong(f"'{shown}' is not a valid name of {article} {called}: {reason}", hint)


def check_name(kind: Kind, name: str, where: Location | Callable[[], Location | None] | None) -> None:
    """``where`` may be looked for once the name is found to be wrong."""
    wrong = what_is_wrong(kind, name)
    if wrong:
        place = where() if callable(where) else where
        raise InputError(wrong.message, location=place, hint=wrong.hint)


def _reason(kind: Kind, name: str) -> str | None:
    if not name.strip():
        return "it is empty"
    if not name.isprintable() and (found := _UNPRINTABLE.search(name)):
        return f"it has {_called(found[0])}"
    if len(name.encode()) > _LONGEST:
        return f"it is longer than {_LONGEST} bytes"
    forbidden = re.search(_FORBIDDEN[kind], name) if kind in _FORBIDDEN else None
    if forbidden:
        return f"it has '{forbidden[0]}'"
    if kind == "connection" and name.startswith("."):
        return "it begins with a dot"
    return None


def _called(character: str) -> str:
    if character in "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029":
        return f"a line break ({one_line(character)})"
    if "\ud800" <= character <= "\udfff":
        return "a byte that is not UTF-8"
    if character <= "\x9f":
        return f"a control character ({one_line(character)})"
    return f"a character that cannot be seen ({one_line(character)})"


def _nearest(kind: Kind, name: str) -> str | None:
    near = _UNPRINTABLE.sub(" ", name)
    if kind in _FORBIDDEN:
        near = re.sub(_FORBIDDEN[kind], "-" if kind == "connection" else "_", near)
    near = " ".join(near.split()).lstrip(".- ") if kind == "connection" else " ".join(near.split())
    if kind in {"key", "variable"}:
        near = near.replace(" ", "_")
    near = near.encode()[: min(_LONGEST, 80)].decode(errors="ignore").strip()
    return near if near and _reason(kind, near) is None else None
