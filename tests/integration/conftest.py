"""Images that several modules look at, each built once by the command that a user types."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowpack.images.reference import ImageReference
from tests.commands import flowpack
from tests.integration.real_parts import Docker
from tests.paths import FLOWS

PLANTED = "planted-in-a-connection-51d0"


@dataclass(frozen=True)
class BuiltImage:
    tag: str
    context: Path


@pytest.fixture(scope="session")
def chat_image(
    building: dict[str, str], docker: Docker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BuiltImage]:
    yield from _built("chat-with-includes", building, docker, tmp_path_factory.mktemp("chat-image"))


@pytest.fixture(scope="session")
def llm_image(
    building: dict[str, str], docker: Docker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BuiltImage]:
    """Built where its connection's values are set: as variables, which is how a developer's machine has them."""
    values = {"OPEN_AI_CONNECTION_API_KEY": PLANTED, "OPEN_AI_CONNECTION_API_BASE": f"https://{PLANTED}.example"}
    yield from _built("llm-chat", {**building, **values}, docker, tmp_path_factory.mktemp("llm-image"))


def _built(flow: str, environment: dict[str, str], docker: Docker, folder: Path) -> Iterator[BuiltImage]:
    tag = str(ImageReference.parse(f"flowpack-test-{flow}-{uuid.uuid4().hex[:8]}:1"))
    flowpack("build", FLOWS / flow, "--output", folder / "out", "--tag", tag, env=environment)
    yield BuiltImage(tag, folder / "out")
    docker("image", "rm", "--force", tag, check=False)
