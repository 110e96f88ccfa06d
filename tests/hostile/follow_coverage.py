"""Atheris on one reader: ``python -m tests.hostile.follow_coverage READER CORPUS -max_total_time=10``."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["flowpack"]):
    import flowpack.checks.run  # noqa: F401
    from flowpack.checks.registry import all_checks
    from flowpack.errors import FlowpackError
    from tests.hostile.readers import reader

    all_checks()


def main() -> None:
    each = reader(sys.argv.pop(1))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve() / "project" / "flow"
        folder.mkdir(parents=True)
        (folder.parent / ".git").mkdir()

        def one(content: bytes) -> None:
            each.lay(folder, content)
            with contextlib.suppress(FlowpackError):
                each.read(folder)

        atheris.Setup(sys.argv, one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
