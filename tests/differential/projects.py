"""Small projects with a flow in them, as values: each prints as the code that makes it again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Link:
    """A symbolic link; its target is relative to the link's own folder."""

    target: str


@dataclass(frozen=True)
class Program:
    """A file that may be executed."""

    content: bytes
    mode: int = 0o755


@dataclass(frozen=True)
class Pipe:
    """A named pipe, which is no file that can be copied."""


Entry = str | bytes | Program | Link | Pipe | None
"""What stands at a path: None is an empty folder."""


@dataclass(frozen=True)
class Project:
    """Entries by their paths in the project; ``{project}`` in a text stands for the project's absolute path."""

    files: Mapping[str, Entry]
    variant: str | None = None
    source: str = "flow/flow.dag.yaml"

    def write(self, folder: Path) -> Path:
        """Gives the flow's file. No include may leave ``folder``, since it seems to be under version control."""
        (folder / ".git").mkdir(parents=True)
        for name, entry in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if entry is None:
                path.mkdir(exist_ok=True)
            elif isinstance(entry, Link):
                path.symlink_to(entry.target)
            elif isinstance(entry, Pipe):
                os.mkfifo(path)
            elif isinstance(entry, Program):
                path.write_bytes(entry.content)
                path.chmod(entry.mode)
            else:
                path.write_bytes(entry.replace("{project}", str(folder)).encode() if isinstance(entry, str) else entry)
        return folder / self.source


def flow_file(*includes: str, more: str = "nodes: []\n") -> str:
    listed = "".join(f"- {json.dumps(each, ensure_ascii=False)}\n" for each in includes)
    return more + (f"additional_includes:\n{listed}" if includes else "")
