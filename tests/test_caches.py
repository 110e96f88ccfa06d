from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.caches import cache_folder


def test_the_cache_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(tmp_path / "mine"))
    assert cache_folder("pip-tools") == tmp_path / "mine" / "pip-tools"
    assert (tmp_path / "mine" / "pip-tools").is_dir()


@pytest.mark.parametrize(
    ("shared", "root"), [("", ".cache"), ("relative", ".cache"), ("{home}/elsewhere", "elsewhere")]
)
def test_else_it_is_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: str, root: str) -> None:
    monkeypatch.delenv("FLOWPACK_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", shared.format(home=tmp_path))
    assert cache_folder("x") == tmp_path / root / "flowpack" / "x"
