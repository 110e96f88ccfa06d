from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flowpack.dependencies.requirements import Requirements, read_requirements
from tests.dependencies.packages import SimpleIndex, write_serving_wheels
from tests.paths import write_tree

Read = Callable[..., Requirements]


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    folder = tmp_path / "flow"
    folder.mkdir()
    return folder


@pytest.fixture
def read(flow: Path) -> Read:
    """Writes files into the flow folder and reads its requirements; a bare text is ``requirements.txt``."""

    def read(text: str | bytes | None = None, **files: str | bytes) -> Requirements:
        named = {name.replace("__", "/") + ".txt": content for name, content in files.items()}
        if text is not None:
            named["requirements.txt"] = text
        write_tree(flow, named)
        paths = {path.relative_to(flow).as_posix(): path for path in sorted(flow.rglob("*")) if path.is_file()}
        return read_requirements("requirements.txt" if text is not None else None, paths)

    return read


@pytest.fixture
def no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No index, no cache and no setting of this machine."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip-cache"))
    monkeypatch.setenv("PIP_TOOLS_CACHE_DIR", str(tmp_path / "pip-tools-cache"))
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(tmp_path / "flowpack-cache"))
    return monkeypatch


@pytest.fixture
def wheels(tmp_path: Path, no_configuration: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip's configuration names, and nothing else: no test here reaches a network."""
    folder = tmp_path / "wheels"
    write_serving_wheels(folder)
    configuration = tmp_path / "pip.conf"
    configuration.write_text(f"[global]\nno-index = true\nfind-links = {folder}\n")
    no_configuration.setenv("PIP_CONFIG_FILE", str(configuration))
    return folder


@pytest.fixture
def serve_index(no_configuration: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Serves a folder of wheels as an index of this machine; gives its ``host:port``."""
    servers: list[ThreadingHTTPServer] = []

    def serve(wheels: Path, **attributes: Any) -> str:
        handler = type("Index", (SimpleIndex,), {"wheels": wheels, **attributes})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
