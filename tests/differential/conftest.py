"""One promptflow for all modules, installed at most once, with a home and connections of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.differential.oracle import Oracle
from tests.integration.pf_serve import PromptFlow
from tests.integration.real_parts import missing


@pytest.fixture(scope="session")
def promptflow(tmp_path_factory: pytest.TempPathFactory) -> PromptFlow:
    try:
        return PromptFlow(tmp_path_factory.mktemp("promptflow"))
    except (OSError, subprocess.CalledProcessError) as error:
        missing(f"promptflow cannot be installed: {error}")


@pytest.fixture(scope="session")
def oracle(promptflow: PromptFlow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    running = Oracle(promptflow, tmp_path_factory.mktemp("oracle") / "log")
    yield running
    running.close()
