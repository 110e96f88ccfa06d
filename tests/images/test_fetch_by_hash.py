"""Wheels come straight from the pages of pip's indexes, by the hashes of the lock; the rest is left to pip."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import venv
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flowpack.images.build_stage import download_packages
from flowpack.images.build_stage.fetch_by_hash import files_of_page
from tests.dependencies.packages import SimpleIndex, sha256, write_wheel

LEFT_TO_PIP = "left to pip: team-tools"
PASSWORD = "planted-in-an-index-7d1c"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    environment = tmp_path_factory.mktemp("python") / "build"
    venv.create(environment, with_pip=True)
    return environment / "bin" / "python"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    write_wheel(tmp_path / "wheels", "team-tools", "1.1")
    write_wheel(tmp_path / "wheels", "team-tools", "1.2")
    return tmp_path / "wheels"


@pytest.fixture
def wheel(wheels: Path) -> Path:
    return wheels / "team_tools-1.2-py3-none-any.whl"


class JsonIndex(SimpleIndex):
    """Answers in the form of PEP 691 where it is asked for."""

    def _body(self) -> bytes | None:
        page = super()._body()
        if page is None or not self.path.startswith("/simple/"):
            return page
        assert "application/vnd.pypi.simple.v1+json" in self.headers["Accept"]
        found = re.findall(r'href="([^#]*)#sha256=(\w+)">([^<]*)<', page.decode())
        files = [{"url": f"../..{url}", "hashes": {"sha256": digest}, "filename": name} for url, digest, name in found]
        return json.dumps({"meta": {"api-version": "1.0"}, "name": "x", "files": files}).encode()

    def send_header(self, keyword: str, value: str) -> None:
        super().send_header(keyword, value.replace("text/html", "application/vnd.pypi.simple.v1+json; charset=utf-8"))


class IndexWithoutHashes(SimpleIndex):
    def _body(self) -> bytes | None:
        page = super()._body()
        return page and re.sub(rb"#sha256=\w+", b"", page) if self.path.startswith("/simple/") else page


class OtherBytes(SimpleIndex):
    """Sends another archive than its page promises, the first time that it is asked for one."""

    asked: list[str]

    def _body(self) -> bytes | None:
        body = super()._body()
        if not self.path.startswith("/files/"):
            return body
        self.asked.append(self.path)
        return body and body + b"x" if len(self.asked) == 1 else body


class BrokenPage(SimpleIndex):
    """The first page of each package is no page at all."""

    asked: list[str]

    def _body(self) -> bytes | None:
        self.asked.append(self.path)
        return b"{" if self.asked.count(self.path) == 1 and self.path.startswith("/simple/") else super()._body()

    def send_header(self, keyword: str, value: str) -> None:
        broken = self.asked.count(self.path) == 1 and keyword == "Content-Type"
        super().send_header(keyword, "application/vnd.pypi.simple.v1+json" if broken else value)


@pytest.fixture
def serve(wheels: Path) -> Iterator[Callable[..., str]]:
    """Starts an index of the wheels; gives its host and port."""
    with contextlib.ExitStack() as stack:

        def start(kind: type[SimpleIndex] = SimpleIndex, **more: Any) -> str:
            handler = type("Handler", (kind,), {"wheels": wheels, **more})
            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            return f"127.0.0.1:{server.server_port}"

        yield start


@pytest.fixture
def fetch(build: Path, tmp_path: Path, wheel: Path) -> Callable[..., str]:
    """Fetches team-tools 1.2 with this pip.conf; gives what was printed, and the wheel must be there."""

    def call(configuration: str, *, python: Path = build, options: str = "", **environment: str) -> str:
        folder = tmp_path / "step"
        folder.mkdir()
        (folder / "pip.conf").write_text(configuration)
        (folder / "requirements.lock").write_text(f"{options}team-tools==1.2 --hash={sha256(wheel)}\n")
        done = subprocess.run(
            [python, "-I", download_packages.__file__, folder / "requirements.lock", folder / "fetched"],
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "PIP_CONFIG_FILE": str(folder / "pip.conf")}
            | environment,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert (folder / "fetched" / wheel.name).read_bytes() == wheel.read_bytes()
        assert [path.name for path in (folder / "fetched").glob("*.whl")] == [wheel.name]
        return done.stdout + done.stderr

    return call


@pytest.mark.parametrize("kind", [SimpleIndex, JsonIndex])
@pytest.mark.parametrize("section", ["global", "install"])
def test_a_wheel_comes_from_the_page_that_names_its_hash(
    fetch: Callable[..., str], serve: Callable[..., str], kind: type[SimpleIndex], section: str
) -> None:
    assert LEFT_TO_PIP not in fetch(f"[{section}]\nindex-url = http://{serve(kind)}/simple/\n")


def test_the_extra_indexes_are_asked_in_turn(
    fetch: Callable[..., str], serve: Callable[..., str], tmp_path: Path
) -> None:
    empty = f"http://{serve(wheels=tmp_path)}/simple"
    indexes = f"[global]\nindex-url = {empty}\nextra-index-url = {empty}\n    http://{serve()}/simple\n"
    assert LEFT_TO_PIP not in fetch(indexes)


def test_an_index_of_the_lock_is_asked(fetch: Callable[..., str], serve: Callable[..., str], tmp_path: Path) -> None:
    empty = f"http://{serve(wheels=tmp_path)}/simple"
    said = fetch(f"[global]\nindex-url = {empty}\n", options=f"--extra-index-url http://{serve()}/simple\n")
    assert LEFT_TO_PIP not in said


@pytest.mark.parametrize("kind", [SimpleIndex, IndexWithoutHashes])
@pytest.mark.parametrize("where", ["url", "netrc"])
def test_an_index_behind_a_password_is_read_by_pip_s_credentials(
    fetch: Callable[..., str], serve: Callable[..., str], tmp_path: Path, kind: type[SimpleIndex], where: str
) -> None:
    host = serve(kind, credentials=f"builder:{PASSWORD}")
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login builder password {PASSWORD}\n" if where == "netrc" else "")
    user = f"builder:{PASSWORD}@" if where == "url" else ""
    said = fetch(f"[global]\nindex-url = http://{user}{host}/simple/\n", NETRC=str(netrc))
    assert (LEFT_TO_PIP in said) == (kind is IndexWithoutHashes)
    assert PASSWORD not in said


def test_find_links_are_left_to_pip(
    fetch: Callable[..., str], serve: Callable[..., str], tmp_path: Path, wheels: Path
) -> None:
    empty = f"http://{serve(wheels=tmp_path)}/simple"
    assert LEFT_TO_PIP in fetch(f"[global]\nindex-url = {empty}\nfind-links = {wheels}\n")


def test_an_index_on_disk_is_left_to_pip(fetch: Callable[..., str], tmp_path: Path, wheel: Path) -> None:
    page = tmp_path / "simple" / "team-tools" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<a href="{wheel.as_uri()}#{sha256(wheel).replace(":", "=")}">{wheel.name}</a>')
    assert LEFT_TO_PIP in fetch(f"[global]\nindex-url = {(tmp_path / 'simple').as_uri()}\n")


@pytest.mark.parametrize("kind", [OtherBytes, BrokenPage])
def test_what_an_index_garbles_once_pip_fetches_again(
    fetch: Callable[..., str], serve: Callable[..., str], kind: type[SimpleIndex]
) -> None:
    assert LEFT_TO_PIP in fetch(f"[global]\nindex-url = http://{serve(kind, asked=[])}/simple/\n")


def test_an_index_that_pip_does_not_trust_gets_no_request(
    fetch: Callable[..., str], serve: Callable[..., str], wheels: Path
) -> None:
    """pip trusts plain HTTP on the loopback; 0.0.0.0 leads there under a name that it does not trust."""
    seen: list[str] = []
    port = serve(credentials=f"builder:{PASSWORD}", headers_seen=seen).rpartition(":")[2]
    untrusted = f"http://builder:{PASSWORD}@0.0.0.0:{port}/simple/"
    assert LEFT_TO_PIP in fetch(f"[global]\nindex-url = {untrusted}\nfind-links = {wheels}\n")
    assert seen == []


def test_an_index_with_trusted_host_is_read(fetch: Callable[..., str], serve: Callable[..., str]) -> None:
    port = serve().rpartition(":")[2]
    trusted = f"[global]\nindex-url = http://0.0.0.0:{port}/simple/\ntrusted-host = 0.0.0.0\n"
    assert LEFT_TO_PIP not in fetch(trusted)


def test_a_pip_whose_inner_parts_changed_fetches_everything_itself(
    build: Path, fetch: Callable[..., str], serve: Callable[..., str], tmp_path: Path
) -> None:
    shutil.copytree(build.parents[1], tmp_path / "changed", symlinks=True)
    [package] = (tmp_path / "changed").glob("lib/python*/site-packages/pip/_internal/req/__init__.py")
    package.write_text(f"{package.read_text()}\ndel parse_requirements\n")
    python = tmp_path / "changed" / "bin" / "python"
    assert LEFT_TO_PIP in fetch(f"[global]\nindex-url = http://{serve()}/simple/\n", python=python)


@pytest.mark.network
# pip 21 does not run on Python 3.12 and later.
@pytest.mark.parametrize("release", ["pip==21.2.4"] * (sys.version_info < (3, 12)) + ["pip"])
def test_pip_s_session_is_usable_in_old_releases_and_the_newest(
    build: Path, fetch: Callable[..., str], serve: Callable[..., str], tmp_path: Path, release: str
) -> None:
    shutil.copytree(build.parents[1], tmp_path / "other", symlinks=True)
    python = tmp_path / "other" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--upgrade", release], check=True)
    host = serve(JsonIndex, credentials=f"builder:{PASSWORD}")
    said = fetch(f"[global]\nindex-url = http://builder:{PASSWORD}@{host}/simple/\n", python=python)
    assert LEFT_TO_PIP not in said


def test_the_links_of_a_page_are_followed_from_its_base() -> None:
    digest = "a" * 64
    page = (
        f'<base href="https://files.example/x/"><a href="one-1.0-py3-none-any.whl#sha256={digest}" data-x>one</a>'
        f'<a href="two-1.0-py3-none-any.whl#sha256={"b" * 64}">two</a><a>three</a>'
    )
    found = files_of_page("text/html; charset=utf-8", page.encode(), "https://index.example/simple/one/", {digest})
    assert list(found) == ["https://files.example/x/one-1.0-py3-none-any.whl"]
