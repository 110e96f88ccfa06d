from __future__ import annotations

from pathlib import Path

import pytest

from tests.running.builds import build_folder, llm_build


@pytest.fixture
def cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(shared_cache))
    return shared_cache


@pytest.fixture(scope="session")
def python_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_folder(tmp_path_factory.mktemp("python-only") / "build", "python-only")


@pytest.fixture(scope="session")
def chat_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llm_build(tmp_path_factory.mktemp("llm-chat") / "build")
