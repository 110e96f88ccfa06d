"""Builds by the real engine, through the clients that this machine has."""

from __future__ import annotations

import io
import os
import re
import secrets
import shutil
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flowpack import process
from flowpack.dependencies.target import Platform
from flowpack.errors import EngineError, UsageError
from flowpack.images.engine import find_engine
from flowpack.images.engine.builders import docker_programs
from flowpack.images.engine.docker_engine import DockerEngine
from flowpack.images.engine.endpoint import Endpoint, connect
from flowpack.images.engine.model import ImageBuild
from flowpack.images.reference import ImageReference
from tests.integration.real_parts import Docker
from tests.recording import Recording

pytestmark = pytest.mark.engine

MakeName = Callable[..., ImageReference]


@pytest.fixture
def build(tmp_path: Path, base_image: ImageReference, image_name: MakeName) -> Callable[..., ImageBuild]:
    """Makes a build of these instructions on the base image; its context has ``hello.txt``, new each time."""

    def make(instructions: str, name: str = "context") -> ImageBuild:
        context = tmp_path / name
        context.mkdir()
        (context / "hello.txt").write_text(secrets.token_hex(8))
        (context / "Dockerfile").write_text(f"FROM {base_image}\n{instructions}")
        return ImageBuild(context=context, tag=image_name(), platform=Platform.of_this_machine())

    return make


def every_file_of(docker: Docker, reference: ImageReference, folder: Path) -> Iterator[bytes]:
    """The image as a reader of its layers would see it: configuration and history, each file's bytes and name."""
    saved = folder / "saved.tar"
    docker("save", "--output", str(saved), str(reference))
    with tarfile.open(saved) as image:
        for member in image:
            content = image.extractfile(member) if member.isfile() else None
            data = content.read() if content else b""
            yield data
            if member.name.endswith(".tar") or "/blobs/" in f"/{member.name}":
                try:
                    with tarfile.open(fileobj=io.BytesIO(data)) as layer:
                        for file in layer:
                            yield file.name.encode()
                except tarfile.ReadError:
                    continue


def test_a_built_image_is_in_the_engine_with_its_id_labels_and_arguments(
    engine: DockerEngine, docker: Docker, build: Callable[..., ImageBuild]
) -> None:
    wanted = replace(
        build("ARG GREETING\nCOPY hello.txt /hello.txt\nRUN echo $GREETING > /greeting\n"),
        build_args={"GREETING": "good day"},
        labels={"org.example.flow": "chat, with a comma = and more"},
    )
    image = engine.build(wanted)
    assert re.fullmatch("sha256:[0-9a-f]{64}", image.id)
    assert image == engine.inspect(wanted.tag)
    assert image.size > 1_000_000
    assert docker("image", "inspect", "--format", "{{.Id}}", str(wanted.tag)).strip() == image.id
    label = docker("image", "inspect", "--format", '{{index .Config.Labels "org.example.flow"}}', image.id)
    assert label.strip() == "chat, with a comma = and more"
    said = docker("run", "--rm", "--network=none", image.id, "sh", "-c", "cat /greeting /hello.txt")
    assert said == "good day\n" + (wanted.context / "hello.txt").read_text()


@pytest.mark.attack("held: secrets of the machine get nowhere")
def test_a_secret_reaches_its_step_and_stays_in_no_layer(
    engine: DockerEngine, docker: Docker, build: Callable[..., ImageBuild], tmp_path: Path
) -> None:
    secret = f"token-{secrets.token_hex(16)}"
    secret_file = tmp_path / "with, comma and 'quotes\".conf"
    secret_file.write_text(secret)
    wanted = replace(
        build(
            "COPY hello.txt /hello.txt\n"  # new each time: a secret's content does not count for the cache
            "RUN --mount=type=secret,id=pip-conf,required=true --mount=type=cache,target=/var/cache/flowpack-test \\\n"
            "    sha256sum < /run/secrets/pip-conf > /checksum && touch /var/cache/flowpack-test/here\n"
        ),
        secrets={"pip-conf": secret_file},
    )
    image = engine.build(wanted)
    expected = process.run(("sha256sum", str(secret_file))).stdout.split()[0].lstrip("\\")
    assert docker("run", "--rm", "--network=none", image.id, "cat", "/checksum").split()[0] == expected
    everything = list(every_file_of(docker, wanted.tag, tmp_path))
    assert any(b"checksum" in each for each in everything)
    assert not any(secret.encode() in each for each in everything)
    assert b"var/cache/flowpack-test/here" not in everything
    assert secret not in docker("history", "--no-trunc", str(wanted.tag))


def test_progress_tells_each_step_once_and_what_came_from_the_cache(
    engine: DockerEngine, build: Callable[..., ImageBuild]
) -> None:
    wanted = build("COPY hello.txt /hello.txt\nRUN --mount=type=cache,target=/c echo out; echo noise >&2\n")
    first = Recording()
    again = Recording()
    engine.build(wanted, first)
    engine.build(wanted, again)
    assert any(doing.startswith(f"building {wanted.tag} with") for doing in first.tasks)
    assert [line for line in first if re.search(r" \d+\.\d s  \[(stage-0 )?\d/3\] RUN echo out; echo noise >&2$", line)]
    assert not [line for line in first if "noise" in line and "RUN" not in line]
    assert [line for line in again if re.search(r" cached  \[(stage-0 )?\d/3\] COPY hello.txt /hello.txt$", line)]
    assert len([line for line in again if "RUN echo out" in line]) == 1


def test_no_cache_runs_each_step_again(engine: DockerEngine, build: Callable[..., ImageBuild]) -> None:
    wanted = build("RUN date\n")
    engine.build(wanted)
    told = Recording()
    engine.build(replace(wanted, no_cache=True), told)
    assert [line for line in told if re.search(r" s  .*RUN date", line)]


@pytest.mark.parametrize("buildkit", [True, False], ids=["buildkit", "classic"])
def test_a_step_that_fails_is_told_with_its_line_and_its_own_words(
    engine: DockerEngine, build: Callable[..., ImageBuild], buildkit: bool
) -> None:
    wanted = build(
        "# a comment\nCOPY hello.txt /hello.txt\nRUN echo from https://me:hunter2@index.example/simple && \\\n"
        "    echo 'these packages do not match the hashes' >&2 && exit 3\n"
    )
    with pytest.raises(EngineError) as caught:
        engine.build(replace(wanted, buildkit=buildkit))
    error = caught.value
    assert error.exit_code == 3
    assert error.location is not None
    assert error.location.path == wanted.context / "Dockerfile"
    assert error.location.line == 4
    assert "RUN echo from" in error.message
    assert "these packages do not match the hashes" in (error.detail or "")
    assert "hunter2" not in str(error)
    assert engine.inspect(wanted.tag) is None


def test_a_missing_file_and_an_unknown_instruction_name_their_lines(
    engine: DockerEngine, build: Callable[..., ImageBuild]
) -> None:
    with pytest.raises(EngineError) as missing:
        engine.build(build("\nCOPY no-such-file /x\n", "missing"))
    assert missing.value.location is not None
    assert missing.value.location.line == 3
    assert "no-such-file" in str(missing.value)
    with pytest.raises(EngineError) as unknown:
        engine.build(build("\nCOPPY hello.txt /x\n", "unknown"))
    assert unknown.value.location is not None
    assert unknown.value.location.line == 3
    assert "COPPY" in str(unknown.value)


def test_the_classic_builder_builds_without_mounts(
    engine: DockerEngine, docker: Docker, build: Callable[..., ImageBuild]
) -> None:
    told = Recording()
    wanted = replace(build("COPY hello.txt /hello.txt\nRUN cat /hello.txt > /copy\n"), buildkit=False)
    image = engine.build(wanted, told)
    assert any("classic builder" in doing for doing in told.tasks)
    assert [line for line in told if "[3/3] RUN cat /hello.txt > /copy" in line]
    copied = docker("run", "--rm", "--network=none", image.id, "cat", "/copy")
    assert copied == (wanted.context / "hello.txt").read_text()


def test_the_classic_builder_refuses_secrets(
    engine: DockerEngine, build: Callable[..., ImageBuild], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="need BuildKit"):
        engine.build(replace(build("RUN true\n"), buildkit=False, secrets={"pip-conf": tmp_path / "x"}))


def test_an_image_that_is_not_there_is_none(engine: DockerEngine) -> None:
    assert engine.inspect(ImageReference.parse("flowpack-no-such-image:1")) is None


def test_a_client_without_buildkit_that_stands_first_is_stepped_over(
    engine: DockerEngine, build: Callable[..., ImageBuild], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first client reaches the engine, has no buildx, and says it is too new to have BuildKit inside."""
    first = tmp_path / "first" / "docker"
    first.parent.mkdir()
    real = docker_programs()[0]
    first.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = buildx ]; then echo "docker: \'buildx\' is not a docker command." >&2; exit 1; fi\n'
        'if [ "$1" = build ]; then echo "this client must not build" >&2; exit 9; fi\n'
        f'if [ "$1" = version ]; then {real} "$@" | sed \'s/"Client":{{/"Client":{{"X":1,/; '
        's/"Version":"[^"]*"/"Version":"28.2.2"/\'; exit; fi\n'
        f'exec {real} "$@"\n'
    )
    first.chmod(0o755)
    monkeypatch.setenv("PATH", f"{first.parent}{os.pathsep}{os.environ['PATH']}")
    told = Recording()
    find_engine().build(build("COPY hello.txt /hello.txt\n"), told)
    assert not any(str(first) in doing for doing in told.tasks)

    monkeypatch.setenv("PATH", str(first.parent) + os.pathsep + str(only_shell(tmp_path)))
    with pytest.raises(EngineError) as caught:
        find_engine().build(build("RUN true\n", "second"))
    assert caught.value.message == "no docker program on PATH offers BuildKit"
    assert f"{first} (28.2.2): has no buildx plugin" in (caught.value.detail or "")
    assert "--no-buildkit" in (caught.value.hint or "")


def only_shell(folder: Path) -> Path:
    """A folder for PATH with what a shell script needs and no docker."""
    programs = folder / "programs"
    programs.mkdir()
    for name in ("sh", "sed"):
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    return programs


def test_without_a_docker_program_all_but_buildkit_works(
    engine: DockerEngine, build: Callable[..., ImageBuild], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_engine()
    with pytest.raises(EngineError, match="no 'docker' program is on PATH") as caught:
        found.build(build("RUN true\n"))
    assert "--no-buildkit" in (caught.value.hint or "")
    assert found.build(replace(build("RUN true\n", "classic"), buildkit=False)).size > 0


def test_an_engine_that_refuses_the_connection(engine: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("DOCKER_HOST", address)
    with pytest.raises(EngineError) as caught:
        find_engine()
    assert caught.value.exit_code == 3
    assert caught.value.message == f"no container engine answers at {address} (DOCKER_HOST)"
    assert "Connection refused" in (caught.value.detail or "")
    assert "DOCKER_HOST" in (caught.value.hint or "")


def test_an_engine_that_never_answers_is_given_up_on(engine: DockerEngine, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        threading.Thread(target=_hold_connections, args=(listening,), daemon=True).start()
        with pytest.raises(EngineError) as caught:
            connect(Endpoint(host=f"unix://{tmp_path / 's'}", origin="a test"), patience=1)
        listening.shutdown(socket.SHUT_RDWR)
    assert "timed out" in (caught.value.detail or "").lower()
    assert "restart the engine" in (caught.value.hint or "")


def _hold_connections(listening: socket.socket) -> None:
    held = []
    try:
        while True:
            held.append(listening.accept()[0])
    except OSError:
        for each in held:
            each.close()


def test_a_context_that_does_not_exist(engine: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONTEXT", "no-such-context")
    with pytest.raises(EngineError) as caught:
        find_engine()
    assert caught.value.message == "there is no Docker context 'no-such-context'"
    assert "docker context ls" in (caught.value.hint or "")


def test_a_program_of_another_age_than_the_engine(
    engine: DockerEngine, build: Callable[..., ImageBuild], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_API_VERSION", "1.99")
    with pytest.raises(EngineError) as caught:
        find_engine().build(build("RUN true\n"))
    assert "version" in (caught.value.detail or "")
