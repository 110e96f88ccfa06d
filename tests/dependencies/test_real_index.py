"""The fixtures against the package index that pip's configuration names."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from flowpack.dependencies.lockfile import Lockfile, lock_dependencies
from flowpack.dependencies.plain_wheels import PLAIN_WHEELS
from flowpack.dependencies.requirements import Requirements, read_requirements
from flowpack.dependencies.serving_needs import ServingNeeds
from flowpack.dependencies.source_distributions import SourceDistribution, fetched_source
from flowpack.dependencies.target import Platform, Target
from flowpack.errors import EngineError
from flowpack.images.base import Base
from flowpack.pipeline.source_builds import SourceBuilds
from flowpack.process import run
from tests.paths import FLOWS

pytestmark = pytest.mark.network

HERE = Target(f"{sys.version_info.major}.{sys.version_info.minor}", Platform.of_this_machine())


def lock(flow: str, resolver: str, target: Target = HERE) -> Lockfile:
    folder = FLOWS / flow
    name = "requirements.txt"
    files = {name: folder / name} if (folder / name).exists() else {}
    return lock_dependencies(
        read_requirements(name if files else None, files),
        needs=ServingNeeds(tools=flow.startswith("llm")),
        target=target,
        resolver=resolver,
        sources=lambda: SourceBuilds(
            options=frozenset(), base=Base.of_image("base", "--base-image"), flow_folder=folder, engine=no_engine
        ),
    )


def no_engine() -> NoReturn:
    raise EngineError("no engine is needed")


@pytest.mark.skipif(sys.platform != "linux", reason="pip-tools resolves for Linux on Linux alone")
def test_uv_and_pip_tools_lock_the_core_with_the_same_bytes() -> None:
    by_uv, by_pip_tools = lock("python-only", "uv"), lock("python-only", "pip-tools")
    assert by_uv.text.splitlines() == by_pip_tools.text.splitlines()
    assert {"fastapi", "flask", "gunicorn", "httpx", "openai", "promptflow-tracing", "uvicorn"} <= set(by_uv.pins)


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
def test_a_flow_with_tools_is_locked_for_each_platform(platform: str) -> None:
    made = lock("llm-chat", "uv", Target.parse("3.11", platform))
    assert made.pins["promptflow-tools"] == "1.6.1"
    assert made.pins["promptflow-devkit"] == "1.18.5"
    assert "://" not in made.text
    assert str(Path.home()) not in made.text


def test_the_source_that_promptflow_tools_needs_gives_the_wheel_that_flowpack_knows(tmp_path: Path) -> None:
    (search,) = PLAIN_WHEELS
    requirements = Requirements(name="requirements.txt", lines=())
    with fetched_source(
        search.name, requirements, HERE, run, version=search.version, hashes=(search.source_hash,)
    ) as source:
        assert isinstance(source, SourceDistribution)
        made = search.content(source.path)
    assert f"sha256:{hashlib.sha256(made).hexdigest()}" == search.wheel_hash
