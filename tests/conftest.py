from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.shared import folder_of_the_run

pytest_plugins = ["tests.integration.real_parts", "tests.integration.azure_parts"]

# CI looks at the same examples each time; elsewhere each run looks for others.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

# Where this machine has it set, each process that a test starts would compile promptflow anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell that runs this in the background has it ignore SIGINT, and every command that a test starts with it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of flowpack's for the whole run: an environment in it is made once."""
    return folder_of_the_run(tmp_path_factory) / "flowpack-cache"


# The slow folders, which several processes begin with: none of them is left with one of these at the end.
FIRST = ("integration", "serving")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        folders = [Path(__file__).parent / name for name in FIRST]
        items.sort(key=lambda item: not any(folder in item.path.parents for folder in folders))
