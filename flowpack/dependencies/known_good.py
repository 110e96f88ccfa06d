"""Upper bounds that are known to work, for each promptflow release line: ``constraints/promptflow-<line>.txt``.

pip's resolver tries the newest release first and goes back one release at a time; with a bound, its first try fits.
Unlike a pin, a bound lets other requirements ask for an older version. Packages that the user names get no bound, and a
flow that resolves only without the bounds is resolved without them.
"""

from __future__ import annotations

import re
from pathlib import Path

from flowpack.dependencies.requirements import Requirements
from flowpack.dependencies.serving_needs import DEFAULT_RELEASE, promptflow_release

_FOLDER = Path(__file__).parent / "constraints"
_NAME = re.compile(r"[a-z0-9-]+")

# Each release of one requires the others at the same version.
_OF_ONE_RELEASE = ("promptflow", "promptflow-core", "promptflow-devkit", "promptflow-tracing")


def known_good(requirements: Requirements) -> tuple[str, ...]:
    """Constraint lines for packages that the user's files do not name."""
    release = promptflow_release(requirements)
    taken = requirements.names
    lines = [f"{name}=={release}" for name in _OF_ONE_RELEASE] if release else []
    lines += _lines(release or DEFAULT_RELEASE)
    return tuple(line for line in lines if constrained_name(line) not in taken)


def constrained_name(line: str) -> str:
    found = _NAME.match(line)
    return found[0] if found else ""


def _lines(release: str) -> list[str]:
    line = ".".join(release.split(".")[:2])
    path = _FOLDER / f"promptflow-{line}.txt"
    if not path.is_file():  # bounds of another release line are better than none
        path = _FOLDER / f"promptflow-{'.'.join(DEFAULT_RELEASE.split('.')[:2])}.txt"
    texts = (text.strip() for text in path.read_text("utf-8").splitlines())
    return [text for text in texts if text and not text.startswith("#")]
