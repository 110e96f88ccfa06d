"""Which modules the packages of a lock provide, by the wheels' own listings: kept for each wheel once it is known."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from flowpack.caches import read_cached, write_cached
from flowpack.dependencies.lock_format import Pin
from flowpack.dependencies.pip_tools_resolver import isolation
from flowpack.dependencies.requirements import Requirements
from flowpack.dependencies.resolvers import index_lines
from flowpack.dependencies.target import Target
from flowpack.dependencies.uv_resolver import wheel_platforms
from flowpack.process import Run, run
from flowpack.reporting import SILENT, Reporter
from flowpack.temporary import temporary_folder

_PROGRAM = Path(__file__).with_name("list_modules.py")
_KIND = "modules"
_PIP: Mapping[str, str | None] = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PYTHONUTF8": "1",
    "PIP_NO_BINARY": None,
    "PIP_ONLY_BINARY": None,
    "PIP_REQUIRE_HASHES": None,
}


def with_modules(
    pins: tuple[Pin, ...],
    requirements: Requirements,
    target: Target,
    reporter: Reporter = SILENT,
    run: Run = run,
) -> tuple[Pin, ...]:
    """The pins with the modules of their wheels; without them where nobody can tell, which stops no lock."""
    known = {pin.name: [*pin.provides] or _recalled(pin) for pin in pins}
    asked = [pin for pin in pins if known[pin.name] is None and pin.version and not pin.built_from]
    if asked:
        with reporter.task("listing the modules of the packages"):
            found = _listed(asked, requirements, target, run)
        for pin in asked:
            modules = found.get(pin.name)
            if modules:
                known[pin.name] = modules
                write_cached(_KIND, _name(pin), json.dumps(modules).encode())
    return tuple(replace(pin, provides=tuple(known[pin.name] or ())) for pin in pins)


def _name(pin: Pin) -> str:
    return pin.hashes[0].removeprefix("sha256:")


def _recalled(pin: Pin) -> list[str] | None:
    content = read_cached(_KIND, _name(pin))
    return json.loads(content) if content else None


def _listed(pins: list[Pin], requirements: Requirements, target: Target, run: Run) -> dict[str, list[str]]:
    with temporary_folder("modules") as place:
        (place / "index.txt").write_text("".join(f"{line}\n" for line in index_lines(requirements)), "utf-8")
        wanted = {
            "python": target.full_version,
            "platforms": wheel_platforms(target),
            "index_options": str(place / "index.txt"),
            "pins": [{"name": pin.name, "version": pin.version, "hashes": list(pin.hashes)} for pin in pins],
        }
        (place / "wanted.json").write_text(json.dumps(wanted), "utf-8")
        command = [sys.executable, *isolation(), str(_PROGRAM), str(place / "wanted.json")]
        done = run(command, cwd=place, env=_PIP)
    try:
        found: dict[str, list[str]] = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return {}
    return found
