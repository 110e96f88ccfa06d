"""What a release of promptflow lacks is left to the release: no change of ours may end its start."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.serving.promptflow_modules import find_module, modules_with
from tests.paths import write_tree


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package like promptflow's that has one of two modules, and one that imports what is not installed."""
    files = {"__init__.py": "", "here.py": "name = 1\n", "broken.py": "import not_installed_anywhere\n"}
    write_tree(tmp_path / "some_release", files)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "some_release"


def test_a_module_that_the_release_lacks_is_none(release: str) -> None:
    assert find_module(f"{release}.missing") is None
    assert find_module(f"{release}.missing.below") is None
    assert find_module(f"{release}.here") is not None


def test_a_module_that_is_there_and_does_not_load_says_so(release: str) -> None:
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        find_module(f"{release}.broken")


def test_a_change_is_made_where_the_name_is(release: str) -> None:
    found = modules_with("name", f"{release}.here", f"{release}.missing")
    assert [module.__name__ for module in found] == [f"{release}.here"]
    assert modules_with("other", f"{release}.here") == []
