"""What the processes of one test run share: ``make test`` runs the tests in several (pytest-xdist)."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


def folder_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one that all processes have; in each, ``tmp_path_factory`` makes folders below one of its own."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@contextlib.contextmanager
def alone(file: Path) -> Iterator[None]:
    """Whoever holds ``file`` is the only one who does, of all processes of this machine."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
