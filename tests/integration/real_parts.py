"""The real things that integration tests run against, as a pytest plugin: the engine, a base image, a registry.

Where a part is missing, its tests are skipped with a reason; in CI (the variable CI is set) they fail instead.
At the end pytest says how many tests ran against the real engine and the real registry.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from flowpack.errors import EngineError
from flowpack.images.engine import find_engine
from flowpack.images.engine.builders import docker_programs
from flowpack.images.engine.docker_engine import DockerEngine
from flowpack.images.reference import ImageReference

BASE_IMAGE = os.environ.get("FLOWPACK_TEST_BASE", "flowpack-test-base:bookworm")

USER, PASSWORD = "builder", "for-tests-only"
# bcrypt of the password above, made once: nothing to install for a registry that lives a minute on the loopback.
HTPASSWD = f"{USER}:$2b$05$HdhDfj2cX8c4BgBIcsmZuO7rJ2bT1IgXB318aVQbaHcpefnAisz6W\n"

Docker = Callable[..., str]


@dataclass(frozen=True)
class RunningRegistry:
    """``host`` is what stands before the slash of a reference; ``docker_config`` is set where a login is needed."""

    host: str
    docker_config: Path | None = None

    def reference(self, repository: str = "team/flow", tag: str = "1") -> ImageReference:
        return ImageReference.parse(f"{self.host}/{repository}-{uuid.uuid4().hex[:8]}:{tag}")


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def missing(reason: str) -> NoReturn:
    if in_ci():
        pytest.fail(f"{reason} (in CI this is a failure)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def engine() -> DockerEngine:
    try:
        return find_engine()
    except EngineError as error:
        missing(str(error) if in_ci() else error.message)


@pytest.fixture(scope="session")
def docker(engine: DockerEngine) -> Docker:
    """Runs a client that reaches the engine: ``docker("image", "ls")`` gives what it prints."""
    program = docker_program()

    def call(*arguments: str, check: bool = True) -> str:
        return subprocess.run((program, *arguments), check=check, capture_output=True, text=True, timeout=300).stdout

    return call


def docker_program() -> str:
    """The first on PATH that gets on with the engine."""
    for program in docker_programs():
        if subprocess.run((program, "version"), capture_output=True, timeout=60, check=False).returncode == 0:
            return program
    missing("no 'docker' program of this machine reaches the engine")


@pytest.fixture(scope="session")
def base_image(engine: DockerEngine) -> ImageReference:
    reference = ImageReference.parse(BASE_IMAGE)
    if engine.inspect(reference) is None:
        missing(f"the engine has no image {reference}; 'scripts/real-parts up' makes it")
    return reference


@pytest.fixture(scope="session")
def ca_bundle() -> Path | None:
    """The bundle that this machine's programs are told to trust, where its network has an authority of its own."""
    named = (os.environ.get(name) for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"))
    return next((Path(name) for name in named if name and Path(name).is_file()), None)


@pytest.fixture(scope="session")
def building(base_image: ImageReference, ca_bundle: Path | None) -> dict[str, str]:
    """What a build needs on this machine, as variables: the base image, and the way to the package index."""
    variables = {"FLOWPACK_BASE_IMAGE": str(base_image), "FLOWPACK_PYTHON": "3.11", "FLOWPACK_BUILD_NETWORK": "host"}
    return variables | ({"FLOWPACK_CA_BUNDLE": str(ca_bundle)} if ca_bundle else {})


@pytest.fixture
def image_name(docker: Docker) -> Iterator[Callable[..., ImageReference]]:
    """Makes names of images that no other test has, and takes the images away at the end."""
    made: list[ImageReference] = []

    def make(repository: str = "flowpack-test") -> ImageReference:
        made.append(ImageReference.parse(f"{repository}-{uuid.uuid4().hex[:8]}:1"))
        return made[-1]

    yield make
    for reference in made:
        docker("image", "rm", "--force", str(reference), check=False)


@pytest.fixture(scope="session")
def registry(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    yield from _serve(tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="session")
def registry_with_login(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """Wants USER and PASSWORD; its ``docker_config`` is a Docker configuration folder that has them."""
    folder = tmp_path_factory.mktemp("registry-with-login")
    (folder / "htpasswd").write_text(HTPASSWD)
    for running in _serve(folder, {"htpasswd": {"realm": "flowpack-tests", "path": str(folder / "htpasswd")}}):
        yield RunningRegistry(running.host, docker_configuration(folder / "docker", running.host, USER, PASSWORD))


def docker_configuration(folder: Path, registry: str, user: str, password: str) -> Path:
    """What ``docker login`` writes where no credential helper is set up."""
    folder.mkdir(parents=True, exist_ok=True)
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {registry: {"auth": auth}}}))
    return folder


def _serve(folder: Path, auth: dict[str, Any] | None = None) -> Iterator[RunningRegistry]:
    program = shutil.which("docker-registry")
    if program is None:
        missing("there is no 'docker-registry' program; 'scripts/real-parts up' installs it on Debian")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    configuration: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "store")}},
        "http": {"addr": host},
    }
    if auth:
        configuration["auth"] = auth
    (folder / "config.yml").write_text(json.dumps(configuration))  # JSON is YAML
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen((program, "serve", str(folder / "config.yml")), stdout=log, stderr=log)
        try:
            _wait_for(host, process, folder / "log")
            yield RunningRegistry(host)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_for(host: str, process: subprocess.Popen[bytes], log: Path) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(300):
        try:
            direct.open(f"http://{host}/v2/", timeout=5).close()
            return
        except urllib.error.HTTPError:  # it answers: 401 where it wants a login
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    pytest.fail(f"docker-registry did not start:\n{log.read_text()}", pytrace=False)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Count(), "real-parts-count")


class _Count:
    """Of the reports, and so of all processes together where tests run in several; markers are among the keywords."""

    def __init__(self) -> None:
        self._ran = {"engine": 0, "registry": 0}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and not report.skipped:
            for marker in self._ran:
                self._ran[marker] += marker in report.keywords

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.write_line(
            f"real parts: {self._ran['engine']} tests ran against the real engine ({_name_of_the_engine()}), "
            f"{self._ran['registry']} of them against a real registry"
            if self._ran["engine"]
            else "real parts: no test ran against a real engine or a real registry"
        )


def _name_of_the_engine() -> str:
    try:
        return str(find_engine())
    except EngineError:
        return "which is gone"
