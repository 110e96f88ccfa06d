"""An Azure for integration tests, as a pytest plugin: azure_emulator, with the real Azurite behind it.

Where Azurite is missing, its tests are skipped with a reason; in CI they fail instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.real_parts import missing

# Elsewhere it is imported where it is used: the storage client takes half a second, and most tests need no Azure.
if TYPE_CHECKING:
    from azure_emulator import AzureEmulator, Setup

# What a developer's machine may have set, and what would lead a program to another Azure or another identity.
FOREIGN = ("AZURE_", "AZUREML_", "ARM_", "IDENTITY_", "MSI_", "IMDS_")


@pytest.fixture(scope="session")
def azurite() -> Path:
    from azure_emulator.blobs import find_azurite  # noqa: PLC0415

    found = find_azurite()
    if found is None:
        missing("there is no Azurite; 'scripts/real-parts up' installs it where there is npm")
    return found


@pytest.fixture(scope="session")
def shared_azure(azurite: Path) -> Iterator[AzureEmulator]:
    """One for the session; ``azure`` is the same, emptied for a test."""
    from azure_emulator import AzureEmulator  # noqa: PLC0415

    with AzureEmulator(azurite=azurite) as emulator:
        yield emulator


@pytest.fixture
def azure(shared_azure: AzureEmulator) -> Iterator[AzureEmulator]:
    """A workspace without models, blobs or faults, and an empty journal."""
    shared_azure.reset()
    yield shared_azure
    shared_azure.faults.clear()
    shared_azure.end_deployments()


@pytest.fixture(scope="session")
def shared_quick_azure(azurite: Path) -> Iterator[AzureEmulator]:
    from azure_emulator import AzureEmulator, Setup  # noqa: PLC0415

    with AzureEmulator(setup=Setup(runs_containers=False), azurite=azurite) as emulator:
        yield emulator


@pytest.fixture
def quick_azure(shared_quick_azure: AzureEmulator) -> Iterator[AzureEmulator]:
    """Its deployments have no containers: each is ready at once, and echoes."""
    shared_quick_azure.reset()
    yield shared_quick_azure
    shared_quick_azure.faults.clear()


@pytest.fixture
def quick_azure_environment(
    quick_azure: AzureEmulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> dict[str, str]:
    return use_azure(quick_azure, monkeypatch, tmp_path)


@pytest.fixture
def another_azure(azurite: Path) -> Iterator[Callable[..., AzureEmulator]]:
    """Starts one that a test has for itself: ``another_azure(setup=Setup(page_size=2), folder=tmp_path)``."""
    from azure_emulator import AzureEmulator  # noqa: PLC0415

    started: list[AzureEmulator] = []

    def start(*, setup: Setup | None = None, folder: Path | None = None) -> AzureEmulator:
        started.append(AzureEmulator(setup=setup, folder=folder, azurite=azurite))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def azure_environment(azure: AzureEmulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """What a subprocess gets as its whole environment to find ``azure`` and no other; this process is told as well."""
    return use_azure(azure, monkeypatch, tmp_path)


def use_azure(
    emulator: AzureEmulator, monkeypatch: pytest.MonkeyPatch, home: Path, principal: str = "contributor"
) -> dict[str, str]:
    for name in list(os.environ):
        if name.upper().startswith(FOREIGN):
            monkeypatch.delenv(name)
    # Where az keeps who is signed in, and its defaults.
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(home / ".azure"))
    for name, value in emulator.variables(principal).items():
        monkeypatch.setenv(name, value)
    whole = dict(os.environ)
    # azure-ai-ml writes this one into its process; set here, it goes away with the test.
    monkeypatch.setenv("AZUREML_CURRENT_CLOUD", emulator.cloud)
    return whole
