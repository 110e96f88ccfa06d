"""A folder as a tree for a person, long folders cut short."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_SHOWN_PER_FOLDER = 12


def tree(folder: Path) -> str:
    return "\n".join([f"{folder}/", *_below(folder, "")])


def _below(folder: Path, indent: str) -> Iterator[str]:
    entries = sorted(folder.iterdir(), key=lambda path: (not path.is_dir(), path.name))
    shown = entries[:_SHOWN_PER_FOLDER]
    for number, path in enumerate(shown):
        last = number == len(entries) - 1
        yield f"{indent}{'└── ' if last else '├── '}{path.name}{'/' if path.is_dir() else ''}"
        if path.is_dir():
            yield from _below(path, indent + ("    " if last else "│   "))
    if len(entries) > len(shown):
        yield f"{indent}└── … {len(entries) - len(shown)} more"
