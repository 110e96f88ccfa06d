"""What is built, pushed and run goes to one and the same engine: the one that the Docker context names."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from flowpack.dependencies.target import Platform
from flowpack.images.engine import find_engine
from flowpack.images.engine.docker_engine import DockerEngine
from flowpack.images.engine.model import ContainerRequest, ImageBuild
from flowpack.images.reference import ImageReference
from tests.integration.real_parts import RunningRegistry, missing

pytestmark = [pytest.mark.engine, pytest.mark.registry]

_PATIENCE = 60


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A second engine beside the one that everything else uses, with a store of its own."""
    program, ip = (shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") for name in ("dockerd", "ip"))
    if program is None or ip is None or os.geteuid() != 0:
        missing("a second engine needs dockerd, ip and root")
    folder = tmp_path_factory.mktemp("engine")
    host, bridge = f"unix://{folder}/s", f"flowpack{os.getpid() % 10000}"
    # A bridge of its own: without any, an engine takes away docker0, the other's.
    subprocess.run((ip, "link", "add", bridge, "type", "bridge"), check=True)
    command = [program, f"--host={host}", f"--bridge={bridge}", "--iptables=false", f"--data-root={folder}/data"]
    command += [f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as running:
        try:
            subprocess.run((ip, "address", "add", "10.213.0.1/24", "dev", bridge), check=True)
            until = time.monotonic() + _PATIENCE
            while not (folder / "s").exists() or not _answers(host):
                if running.poll() is not None or time.monotonic() > until:
                    missing("a second engine does not start: " + (folder / "log").read_text()[-500:])
                time.sleep(0.2)
            yield host
        finally:
            running.terminate()
            running.wait(_PATIENCE)
            subprocess.run((ip, "link", "delete", bridge), check=False)


def _answers(host: str) -> bool:
    try:
        docker.APIClient(base_url=host, version="auto", timeout=5)
    except docker.errors.DockerException:
        return False
    return True


@pytest.fixture
def second(
    socket: str, engine: DockerEngine, base_image: ImageReference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> DockerEngine:
    """The engine that a context names which is the current one; it has the base image."""
    place = tmp_path / "contexts" / "meta" / hashlib.sha256(b"second").hexdigest()
    place.mkdir(parents=True)
    endpoints = {"docker": {"Host": socket, "SkipTLSVerify": False}}
    (place / "meta.json").write_text(json.dumps({"Name": "second", "Metadata": {}, "Endpoints": endpoints}))
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "second"}))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    found = find_engine()
    if found.inspect(base_image) is None:
        list(found.api.load_image(engine.api.get_image(str(base_image))))
    return found


@pytest.mark.parametrize("buildkit", [True, False])
def test_all_goes_to_the_engine_of_the_context(
    engine: DockerEngine,
    second: DockerEngine,
    base_image: ImageReference,
    registry: RunningRegistry,
    tmp_path: Path,
    buildkit: bool,
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f'FROM {base_image}\nCMD ["echo", "from the second"]\n')
    tag = registry.reference()
    built = second.build(ImageBuild(context=context, tag=tag, platform=Platform.of_this_machine(), buildkit=buildkit))
    assert (second.inspect(tag), engine.inspect(tag)) == (built, None)
    assert second.push(tag).layers >= 1
    container = second.create(
        ContainerRequest(image=str(tag), name=f"flowpack-second-{os.getpid()}", host={"network_mode": "none"})
    )
    try:
        container.start()
        assert container.wait(60) == 0
        assert container.logs() == "from the second\n"
        with pytest.raises(docker.errors.NotFound):
            engine.api.inspect_container(container.name)
    finally:
        container.remove()
