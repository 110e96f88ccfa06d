"""An option that would change nothing is refused, before anything is built or asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.images.build_record import MARKER
from tests.commands import flowpack
from tests.paths import FLOWS

COUNT = FLOWS / "python-only"
IMAGE = "registry.example/chat@sha256:" + "a" * 64
WORKSPACE = ("--subscription", "s", "--resource-group", "g", "--workspace-name", "w")


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("run", IMAGE, "--variant", "answer.short"), "--variant"),
        (("test", IMAGE, "--on-conflict", "error"), "--on-conflict"),
        (("test", IMAGE, "--allow-source", "acme"), "--allow-source"),
        (("test", COUNT, "--engine", "venv", "--run-network", "host"), "--run-network"),
        (("test", COUNT, "--engine", "venv", "--no-cache"), "--no-cache"),
        (("build", COUNT, "--output", "out", "--pull"), "--pull"),
        (("build", COUNT, "--output", "out", "--ca-bundle", __file__), "--ca-bundle"),
        (("ci", COUNT, "--instance-count", "3"), "--instance-count"),
        (("ci", COUNT, "--registry", "local"), "--registry"),
        (("deploy", COUNT, "--image", IMAGE, "--no-test", "--input", "text=a", *WORKSPACE), "--input"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_it_is_named_and_nothing_is_done(tmp_path: Path, command: tuple[str | Path, ...], option: str) -> None:
    done = flowpack(*command, cwd=tmp_path, expect=2)
    assert option in done.stderr
    assert not list(tmp_path.iterdir())


def test_what_a_build_wrote_has_its_flow_options_chosen(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text("{}")
    done = flowpack("test", tmp_path, "--python", "3.10", expect=2)
    assert "--python has no effect here" in done.stderr
