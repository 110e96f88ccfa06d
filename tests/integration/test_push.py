"""Pushes by the real engine to a real registry, on good days and on bad ones."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowpack.dependencies.target import Platform
from flowpack.errors import EngineError, RegistryError, UsageError
from flowpack.images.engine import find_engine
from flowpack.images.engine.docker_engine import DockerEngine
from flowpack.images.engine.model import ImageBuild
from flowpack.images.reference import ImageReference
from tests.integration.real_parts import PASSWORD, USER, Docker, RunningRegistry, docker_configuration
from tests.integration.registry_faults import FaultyRegistry, faulty_registry
from tests.recording import Recording

pytestmark = [pytest.mark.engine, pytest.mark.registry]

PAYLOAD = 2_000_000


@pytest.fixture(scope="module")
def image(engine: DockerEngine, docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A small image whose one layer does not compress, so that its upload can be cut half way."""
    context = tmp_path_factory.mktemp("image")
    (context / "payload").write_bytes(os.urandom(PAYLOAD))
    (context / "Dockerfile").write_text("FROM scratch\nCOPY payload /payload\n")
    tag = ImageReference.parse("flowpack-test-push:1")
    built = engine.build(ImageBuild(context=context, tag=tag, platform=Platform.of_this_machine()))
    yield built.id
    docker("image", "rm", "--force", str(tag), check=False)


@pytest.fixture
def tagged(docker: Docker, image: str) -> Iterator[Callable[[RunningRegistry | FaultyRegistry], ImageReference]]:
    """Gives the image a name of its own in that registry."""
    made: list[ImageReference] = []

    def tag(registry: RunningRegistry | FaultyRegistry) -> ImageReference:
        made.append(RunningRegistry(registry.host).reference())
        docker("tag", image, str(made[-1]))
        return made[-1]

    yield tag
    for reference in made:
        docker("image", "rm", str(reference), check=False)


@pytest.fixture
def faulty(registry: RunningRegistry) -> Iterator[FaultyRegistry]:
    with faulty_registry(registry.host) as proxy:
        yield proxy


class Waits(list[float]):
    """Stands in for time.sleep."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def impatient(engine: DockerEngine, waits: Waits) -> DockerEngine:
    """The engine, whose pushes are tried again at once."""
    return DockerEngine(engine.endpoint, engine.api, sleep=waits)


def digest_in_registry(reference: str, *, login: tuple[str, str] | None = None) -> str:
    """Asked of the registry by another tool."""
    if shutil.which("skopeo") is None:
        pytest.fail("there is no 'skopeo' program; 'scripts/real-parts up' installs it on Debian", pytrace=False)
    credentials = ("--creds", ":".join(login)) if login else ()
    done = subprocess.run(
        ("skopeo", "inspect", "--tls-verify=false", *credentials, f"docker://{reference}"),
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return str(json.loads(done.stdout)["Digest"])


def test_a_push_gives_the_digest_that_the_registry_holds(
    engine: DockerEngine,
    registry: RunningRegistry,
    tagged: Callable[[RunningRegistry], ImageReference],
    docker: Docker,
) -> None:
    reference = tagged(registry)
    told = Recording()
    pushed = engine.push(reference, told)
    named = str(pushed)
    assert re.fullmatch(rf"{re.escape(registry.host)}/team/flow-[0-9a-f]{{8}}@sha256:[0-9a-f]{{64}}", named)
    assert digest_in_registry(str(reference)) == str(pushed.digest)
    assert digest_in_registry(named) == str(pushed.digest)
    assert told == [f"pushed {reference}: 1 layer, 1 of them new"]
    assert told.tasks[f"pushing {reference}"].progress[-1][0] >= PAYLOAD
    assert docker("pull", "--quiet", named).strip() == named
    docker("image", "rm", named, check=False)


def test_an_image_pushed_again_sends_no_layer_and_keeps_its_digest(
    engine: DockerEngine, registry: RunningRegistry, tagged: Callable[[RunningRegistry], ImageReference]
) -> None:
    reference = tagged(registry)
    told = Recording()
    first = engine.push(reference)
    again = engine.push(reference, told)
    assert (str(again), again.layers) == (str(first), first.layers)
    assert again.new_layers == 0
    assert told[-1] == f"pushed {reference}: 1 layer, 0 of them new"


def test_credentials_come_from_the_docker_configuration(
    engine: DockerEngine,
    registry_with_login: RunningRegistry,
    tagged: Callable[[RunningRegistry], ImageReference],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(registry_with_login.docker_config))
    reference = tagged(registry_with_login)
    pushed = engine.push(reference)
    assert digest_in_registry(str(reference), login=(USER, PASSWORD)) == str(pushed.digest)


def test_credentials_come_from_a_credential_helper(
    engine: DockerEngine,
    registry_with_login: RunningRegistry,
    tagged: Callable[[RunningRegistry], ImageReference],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    helper = tmp_path / "bin" / "docker-credential-flowpack-test"
    helper.parent.mkdir()
    answer = json.dumps({"ServerURL": registry_with_login.host, "Username": USER, "Secret": PASSWORD})
    helper.write_text(f"#!/bin/sh\n[ \"$1\" = get ] && echo '{answer}'\n")
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {registry_with_login.host: "flowpack-test"}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", f"{helper.parent}{os.pathsep}{os.environ['PATH']}")
    assert engine.push(tagged(registry_with_login)).layers == 1


@pytest.mark.parametrize("password", [None, "wr0ng-secret"], ids=["no login", "wrong password"])
def test_a_registry_that_wants_a_login_is_asked_once(
    engine: DockerEngine,
    registry_with_login: RunningRegistry,
    docker: Docker,
    image: str,
    tmp_path: Path,
    waits: Waits,
    impatient: DockerEngine,
    password: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with faulty_registry(registry_with_login.host) as proxy:
        reference = RunningRegistry(proxy.host).reference()
        docker("tag", image, str(reference))
        configuration = tmp_path / "empty"
        configuration.mkdir()
        if password:
            configuration = docker_configuration(tmp_path / "wrong", proxy.host, USER, password)
        monkeypatch.setenv("DOCKER_CONFIG", str(configuration))
        told = Recording()
        with pytest.raises(RegistryError) as caught:
            impatient.push(reference, told)
        docker("image", "rm", str(reference))
    error = caught.value
    assert error.exit_code == 3
    assert error.message == f"{proxy.host} refused the push of {reference}"
    assert "no basic auth credentials" in (error.detail or "") or "unauthorized" in (error.detail or "")
    assert f"docker login {proxy.host}" in (error.hint or "")
    assert waits == []
    assert proxy.broken == []
    assert "wr0ng-secret" not in str(error) + "".join(told)


def test_a_registry_that_denies_is_asked_once(
    impatient: DockerEngine,
    faulty: FaultyRegistry,
    tagged: Callable[[FaultyRegistry], ImageReference],
    waits: Waits,
) -> None:
    words = "requested access to the resource is denied: quota of team/flow"
    faulty.answer("POST", "/blobs/uploads/", 403, times=None, code="DENIED", message=words)
    with pytest.raises(RegistryError) as caught:
        impatient.push(tagged(faulty))
    assert words in (caught.value.detail or "")
    assert waits == []


def test_a_layer_cut_off_half_way_arrives_at_the_second_try(
    impatient: DockerEngine, faulty: FaultyRegistry, tagged: Callable[[FaultyRegistry], ImageReference]
) -> None:
    """The engine itself tries a layer again, after five seconds."""
    faulty.cut("PATCH", "/blobs/uploads/", times=1, after=PAYLOAD // 2)
    reference = tagged(faulty)
    told = Recording()
    pushed = impatient.push(reference, told)
    assert len(faulty.broken) == 1
    assert [line for line in told if "broke off; the engine tries it again" in line]
    assert digest_in_registry(str(reference)) == str(pushed.digest)


@pytest.mark.parametrize(
    ("method", "path", "times"),
    [("PUT", "/manifests/", 1), ("GET", "/v2/$", 2)],
    ids=["at the manifest", "at the first request"],
)
def test_a_connection_that_drops_is_tried_again(
    impatient: DockerEngine,
    faulty: FaultyRegistry,
    tagged: Callable[[FaultyRegistry], ImageReference],
    waits: Waits,
    method: str,
    path: str,
    times: int,
) -> None:
    faulty.cut(method, path, times=times)
    reference = tagged(faulty)
    told = Recording()
    pushed = impatient.push(reference, told)
    assert len(faulty.broken) == times
    assert 1 <= len(waits) <= times
    assert [line for line in told if "the push broke" in line and "trying again in 1 s (2 of 4)" in line]
    assert digest_in_registry(str(reference)) == str(pushed.digest)


def test_a_registry_that_stays_away_is_given_up_on_with_its_words(
    impatient: DockerEngine,
    faulty: FaultyRegistry,
    tagged: Callable[[FaultyRegistry], ImageReference],
    waits: Waits,
) -> None:
    faulty.cut("PUT", "/manifests/", times=None)
    reference = tagged(faulty)
    with pytest.raises(RegistryError) as caught:
        impatient.push(reference)
    error = caught.value
    assert error.exit_code == 3
    assert error.message == f"the push of {reference} to {faulty.host} failed, 4 times in a row"
    assert "EOF" in (error.detail or "")
    assert waits == [1.0, 2.0, 4.0]


def test_a_registry_that_is_down_is_given_up_on(
    impatient: DockerEngine, registry: RunningRegistry, docker: Docker, image: str, waits: Waits
) -> None:
    with faulty_registry(registry.host) as proxy:
        pass  # its port is closed from here on
    reference = RunningRegistry(proxy.host).reference()
    docker("tag", image, str(reference))
    with pytest.raises(RegistryError) as caught:
        impatient.push(reference)
    docker("image", "rm", str(reference))
    assert "connection refused" in (caught.value.detail or "")
    assert len(waits) == 3


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [(503, "UNAVAILABLE", "down for maintenance"), (429, "TOOMANYREQUESTS", "rate exceeded, retry-after: 2.5s")],
    ids=["down", "busy"],
)
def test_a_registry_that_is_down_or_busy_for_a_while_is_tried_again(
    impatient: DockerEngine,
    faulty: FaultyRegistry,
    tagged: Callable[[FaultyRegistry], ImageReference],
    waits: Waits,
    status: int,
    code: str,
    message: str,
) -> None:
    faulty.answer("PUT", "/manifests/", status, times=2, code=code, message=message)
    reference = tagged(faulty)
    pushed = impatient.push(reference)
    assert digest_in_registry(str(reference)) == str(pushed.digest)
    assert waits == ([2.5, 2.5] if status == 429 else [1.0, 2.0])


def test_what_cannot_be_pushed(engine: DockerEngine, registry: RunningRegistry) -> None:
    reference = registry.reference()
    with pytest.raises(EngineError, match="has no image") as caught:
        engine.push(reference)
    assert "does not exist" in (caught.value.detail or "")
    with pytest.raises(UsageError, match="names a digest"):
        engine.push(ImageReference.parse(f"{reference}@sha256:{'0' * 64}"))


def test_a_registry_name_that_nobody_has(
    impatient: DockerEngine, docker: Docker, image: str, registry: RunningRegistry, waits: Waits
) -> None:
    docker("tag", image, "no-such-registry.invalid/flow:1")
    with pytest.raises(RegistryError) as caught:
        impatient.push(ImageReference.parse("no-such-registry.invalid/flow:1"))
    docker("image", "rm", "no-such-registry.invalid/flow:1")
    assert "no-such-registry.invalid" in (caught.value.detail or "")
    assert caught.value.hint


def test_a_credential_helper_that_is_missing_is_named(
    registry_with_login: RunningRegistry,
    tagged: Callable[[RunningRegistry], ImageReference],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "flowpack-no-such-helper"}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with pytest.raises(RegistryError) as caught:
        find_engine().push(tagged(registry_with_login))
    assert "docker-credential-flowpack-no-such-helper" in str(caught.value)
    assert "credsStore" in (caught.value.hint or "")
