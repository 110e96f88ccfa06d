"""pip-tools resolves for the interpreter it runs in: which one that is, and what happens where there is none."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from flowpack.dependencies import pip_compile
from flowpack.dependencies.pip_tools_resolver import find_pip_tools, pip_words
from flowpack.dependencies.resolvers import NO_WHEEL, REFUSED
from flowpack.dependencies.target import SUPPORTED_PYTHONS, Platform, Target
from flowpack.errors import ToolError
from flowpack.process import Completed
from flowpack.reporting import SILENT
from tests.paths import write_tree
from tests.recording import Recording

HERE = Platform.of_this_machine()
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER = next(python for python in SUPPORTED_PYTHONS if python != THIS)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pip-tools resolves for Linux on Linux alone")


class OtherPython:
    """Stands in for an interpreter of another minor version: says its version, makes environments, installs."""

    def __init__(self, python: str, status: int = 0) -> None:
        self.python = python
        self.status = status
        self.commands: list[list[str]] = []

    def __call__(self, args: Sequence[str], **options: Any) -> Completed:
        args = [each for each in args if each != "-I"]
        self.commands.append(args)
        status = 0
        if args[1:3] == ["-m", "venv"]:
            python = write_tree(Path(args[3]), {"bin/python": ""}) / "bin" / "python"
            python.chmod(0o755)
        elif args[1:3] == ["-m", "pip"]:
            status = self.status
        stderr = "ERROR: no matching distribution" if status else ""
        return Completed(tuple(args), status, self.python.replace(".", " ") + "\n", stderr)


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    program = write_tree(tmp_path, {f"bin/python{OTHER}": ""}) / "bin" / f"python{OTHER}"
    program.chmod(0o755)
    return program


def test_this_interpreter_serves_its_own_version() -> None:
    assert find_pip_tools(Target(THIS, HERE), OtherPython("0.0"), SILENT).python == sys.executable


def test_another_version_gets_an_environment_once(tmp_path: Path, on_path: Path) -> None:
    said = Recording()
    run = OtherPython(OTHER)
    first = find_pip_tools(Target(OTHER, HERE), run, said)
    assert Path(first.python) == tmp_path / "cache" / "pip-tools" / f"python{OTHER}" / "bin" / "python"
    assert said == [f"installed pip-tools for Python {OTHER}"]
    second = find_pip_tools(Target(OTHER, HERE), run, said)
    assert second.python == first.python
    assert len(said) == 1
    assert [path.name for path in (tmp_path / "cache" / "pip-tools").iterdir()] == [f"python{OTHER}"]


def test_an_installation_that_fails_leaves_nothing(tmp_path: Path, on_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot be installed") as raised:
        find_pip_tools(Target(OTHER, HERE), OtherPython(OTHER, status=1), SILENT)
    assert raised.value.detail == "ERROR: no matching distribution"
    assert list((tmp_path / "cache" / "pip-tools").iterdir()) == []


def test_a_shim_of_no_interpreter_is_no_interpreter(on_path: Path) -> None:
    with pytest.raises(ToolError, match=f"python{OTHER} is not on PATH") as raised:
        find_pip_tools(Target(OTHER, HERE), OtherPython(""), SILENT)
    assert "flowpack[fast]" in str(raised.value.hint)


def test_another_platform_needs_uv() -> None:
    elsewhere = Platform("linux", "arm64" if HERE.architecture == "amd64" else "amd64")
    with pytest.raises(ToolError, match="resolves for the machine it runs on") as raised:
        find_pip_tools(Target(THIS, elsewhere), OtherPython(THIS), SILENT)
    assert "flowpack[fast]" in str(raised.value.hint)


def test_pips_words_are_the_error_and_its_cause() -> None:
    cause = "  The conflict is caused by:\n      The user requested a<2\n      b 1 depends on a>=2\n"
    stdout = f"  Collecting a\n\n{cause}\n  To fix\n"
    stderr = "  WARNING: Location is ignored\n  ERROR: Cannot install a and b\nERROR: ResolutionImpossible\n"
    assert pip_words(Completed((), 1, stdout, stderr)).splitlines() == [
        "ERROR: Cannot install a and b",
        "The conflict is caused by:",
        "    The user requested a<2",
        "    b 1 depends on a>=2",
        "ERROR: ResolutionImpossible",
    ]


def test_the_program_and_its_reader_use_the_same_words() -> None:
    assert (pip_compile.NO_WHEEL, pip_compile.REFUSED) == (NO_WHEEL, REFUSED)
