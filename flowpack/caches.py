"""Where flowpack keeps what it can make again: one folder a user, emptied whenever they like."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """The folder ``name`` of flowpack's cache, made if it is not there; ``FLOWPACK_CACHE_DIR`` moves the cache."""
    folder = _root() / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _root() -> Path:
    chosen = os.environ.get("FLOWPACK_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    shared = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(shared) if Path(shared).is_absolute() else Path.home() / ".cache") / "flowpack"
