"""Finds names in the standalone folder that work here, but not on Windows, on macOS or in an upload to Azure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from flowpack.errors import InputError, Location

_LONGEST = 900
"""Azure limits a file's name to 1,024 characters, and an upload adds a prefix to the path."""

_DEEPEST = 100
"""Programs that copy or remove folders use a file descriptor and a stack frame per level, and macOS allows 256."""

_NOT_UTF8 = r"[\ud800-\udfff]"
_FORBIDDEN = r"[\x00-\x1f\x7f\ud800-\udfff]"
_UNFIT = {
    'has one of <>:"|?*\\, which Windows does not allow in a name': r'[<>:"|?*\\]',
    "has a name that ends with a dot or a space, which Windows drops": r"[. ](?:/|\Z)",
    "has a name that Windows reserves for a device": (
        r"(?:\A|/)(?:con|prn|aux|nul|(?:com|lpt)[1-9¹²³])(?:\.[^/]*)?(?:/|\Z)"
    ),
}
_ANY_UNFIT = re.compile("|".join(_UNFIT.values()), re.IGNORECASE)


def why_impossible(target: str) -> str | None:
    """Why a path cannot be in a listing, an image or an upload; None if it can."""
    if len(target) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    if target.count("/") > _DEEPEST:
        return f"is nested in more than {_DEEPEST} folders"
    if target.isprintable() or re.search(_FORBIDDEN, target) is None:
        return None
    return "is not UTF-8" if re.search(_NOT_UTF8, target) else "has a control character"


def below(folder: Path, relative: str) -> Path:
    """``relative`` inside ``folder``, else InputError. Every path that is written below an output is made here."""
    parts = relative.split("/")
    if "\0" in relative or "\\" in relative or any(part in {"", ".", ".."} for part in parts):
        raise InputError(
            f"'{relative}' is not a path inside the output",
            location=Location(folder),
            hint="rename the file or folder",
        )
    return folder.joinpath(*parts)


def unfit_names(targets: Iterable[str]) -> Iterator[str]:
    """Yields one line for each kind of name that Windows does not support."""
    found: dict[str, list[str]] = {}
    for target in targets:
        if _ANY_UNFIT.search(target):
            for words, pattern in _UNFIT.items():
                if re.search(pattern, target, re.IGNORECASE):
                    found.setdefault(words, []).append(target)
    for words, those in found.items():
        more = f" (and {len(those) - 1} more)" if len(those) > 1 else ""
        yield f"'{those[0]}'{more} {words}"


def case_clashes(targets: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pairs that differ only in case or in the form of their accents, and so are one file on Windows and macOS."""
    seen: dict[str, str] = {}
    for target in targets:
        folded = target.lower() if target.isascii() else unicodedata.normalize("NFC", target.casefold())
        other = seen.setdefault(folded, target)
        if other is not target:
            yield other, target
