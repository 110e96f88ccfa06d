"""The tutorial is followed from its first command to its last, and prints what it says."""

from __future__ import annotations

import html
import os
import re
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.integration.azure_parts import FOREIGN
from tests.integration.real_parts import Docker, RunningRegistry
from tests.pages import Reader, first_missing
from tests.paths import ROOT

TUTORIAL = ROOT / "docs" / "tutorial"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.mark.engine
@pytest.mark.registry
@pytest.mark.network
@pytest.mark.usefixtures("azurite")
def test_the_tutorial(building: dict[str, str], registry: RunningRegistry, docker: Docker, tmp_path: Path) -> None:
    own = f"flowpack-tutorial-{uuid.uuid4().hex[:8]}"
    port = free_port()
    names = {
        "localhost:5000/opening-hours": f"{registry.host}/{own}",
        "localhost:8080": f"localhost:{port}",
        "--tag opening-hours:1": f"--tag {own}:1",
        "--publish 8080:8080 opening-hours:1": f"--publish {port}:8080 {own}:1",
        "--name opening-hours": f"--name {own}",
        "docker stop opening-hours": f"docker stop {own}",
        "scripts/real-parts up && ": "",  # the tests have done it
        ".venv/bin/python": f"exec {sys.executable}",
    }
    variables = {name: value for name, value in os.environ.items() if not name.upper().startswith(FOREIGN)}
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"
    folder = tmp_path / "library"
    folder.mkdir()
    try:
        with Reader(folder, ROOT, {**variables, **building, "HOME": str(tmp_path)}, names) as reader:
            assert reader.follow(TUTORIAL / "first-container.md") > 10
            assert reader.follow(TUTORIAL / "azure.md") > 10
    finally:
        docker("rm", "--force", own, check=False)
        docker(
            "image", "rm", "--force", f"{own}:1", f"{registry.host}/{own}:1", f"{registry.host}/{own}:2", check=False
        )


def test_what_is_shown_must_be_printed_in_its_order() -> None:
    printed = ["one", "two 2.5 s", "  three"]
    assert first_missing(["one", "…", "three"], printed) is None
    assert first_missing(["two … s"], printed) is None
    assert first_missing(["two", "three"], printed) == "two"
    assert first_missing(["three", "one"], printed) == "one"


@pytest.mark.engine
@pytest.mark.network
def test_the_terminal_of_the_readme_shows_what_is_printed(
    building: dict[str, str], docker: Docker, tmp_path: Path
) -> None:
    """But for digests and the versions in them."""
    script = str(ROOT / "scripts" / "capture-terminal")
    try:
        subprocess.run(
            [sys.executable, script, str(tmp_path / "now.svg")], check=True, env={**os.environ, **building}, timeout=600
        )
    finally:
        docker("image", "rm", "--force", "flowpack-capture-hello:1", check=False)
    stored = ROOT / "docs" / "images" / "terminal.svg"
    assert visible(stored) == visible(tmp_path / "now.svg"), "run scripts/capture-terminal"


def visible(picture: Path) -> str:
    text = html.unescape("\n".join(re.findall(r"<text [^>]*>([^<]*)</text>", picture.read_text(encoding="utf-8"))))
    assert "$" in text
    return re.sub(r"sha256:[0-9a-f]+", "sha256:…", text)
