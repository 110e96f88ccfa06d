"""``--slim`` takes out the full SDK and what only it brought, and stays away where something asks for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from flowpack.dependencies.lock_format import Pin
from flowpack.dependencies.requirements import read_requirements
from flowpack.dependencies.slim import what_needs_the_sdk, without_full_sdk
from tests.paths import write_tree

USER, SERVING = "-r requirements.txt", "flowpack, for serving"


def pin(name: str, *via: str) -> Pin:
    return Pin(name, "1", ("sha256:0",), via)


PINS = (
    pin("azure-monitor", "promptflow-devkit"),
    pin("flask", "promptflow-core", "promptflow-devkit"),
    pin("msrest", "azure-monitor"),
    pin("openai", "promptflow-core", "promptflow-tools", "promptflow-devkit"),
    pin("promptflow", USER, "promptflow-tools"),
    pin("promptflow-core", SERVING, "promptflow-devkit"),
    pin("promptflow-devkit", "promptflow"),
    pin("promptflow-tools", SERVING),
    pin("sqlalchemy", USER, "promptflow-devkit"),
)


def test_what_only_the_sdk_brought_goes_with_it() -> None:
    kept = without_full_sdk(PINS)
    assert [each.name for each in kept] == ["flask", "openai", "promptflow-core", "promptflow-tools", "sqlalchemy"]
    assert kept[0].via == ("promptflow-core",)
    assert kept[-1].via == (USER,)


def test_without_the_sdk_there_is_nothing_to_take_out() -> None:
    pins = (pin("flask", "promptflow-core"), pin("promptflow-core", SERVING))
    assert without_full_sdk(pins) == pins


@pytest.fixture
def requirements(tmp_path: Path) -> Callable[[str], object]:
    def read(text: str) -> object:
        write_tree(tmp_path, {"requirements.txt": text})
        return read_requirements("requirements.txt", {"requirements.txt": tmp_path / "requirements.txt"})

    return read


def test_a_package_that_requires_the_sdk_keeps_it(requirements: Callable[[str], object]) -> None:
    needed = (*PINS, pin("promptflow-vectordb", USER))
    needed = tuple(
        pin("promptflow", *each.via, "promptflow-vectordb") if each.name == "promptflow" else each for each in needed
    )
    assert what_needs_the_sdk(requirements("promptflow\n"), PINS) is None
    assert what_needs_the_sdk(requirements("promptflow\n"), needed) == "promptflow-vectordb requires promptflow"
    assert what_needs_the_sdk(requirements("promptflow[azure]\n"), PINS) == "'promptflow[azure]' asks for extras"
