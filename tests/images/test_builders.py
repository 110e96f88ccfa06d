"""Which program builds, with small scripts on PATH that answer as clients of several ages do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from flowpack import process
from flowpack.dependencies.target import Platform
from flowpack.errors import EngineError
from flowpack.images.engine.builders import Builder, docker_programs, find_builder
from flowpack.images.engine.docker_engine import DockerEngine
from flowpack.images.engine.endpoint import Endpoint
from flowpack.images.engine.model import ImageBuild
from flowpack.images.reference import ImageReference

PutClient = Callable[..., str]

SERVER = '{"Version":"20.10.24","Os":"linux","Arch":"amd64"}'


@pytest.fixture
def put_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PutClient:
    """Puts a client of this version behind those already on PATH; nothing else is there but the shell."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)

    def put(folder: str, version: str, *, buildx: str = "", trouble: str | None = None, more: str = "") -> str:
        program = tmp_path / folder / "docker"
        program.parent.mkdir()
        server = "null" if trouble else SERVER
        said = f"echo '{trouble}' >&2; exit 1" if trouble else "exit 0"
        program.write_text(
            "#!/bin/sh\n"
            'case "$1 $2" in\n'
            f'  \'version --format\') echo \'{{"Client":{{"Version":"{version}"}},"Server":{server}}}\'\n'
            f"    {said};;\n"
            f"  'buildx version') echo 'github.com/docker/buildx {buildx} abc'; exit {0 if buildx else 1};;\n"
            f"esac\n{more}\nexit 9\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", os.pathsep.join(filter(None, (os.environ["PATH"], str(program.parent)))))
        return str(program)

    return put


ENDPOINT = Endpoint(host="unix:///run/its.sock", origin="context its", environment={"DOCKER_CONTEXT": "its"})


def builder() -> Builder:
    return find_builder(process.run, ENDPOINT)


def test_the_first_client_with_buildkit_builds(put_client: PutClient) -> None:
    put_client("bare", "28.2.2")
    inside = put_client("inside", "20.10.24+dfsg1")
    put_client("buildx", "29.0.0", buildx="v0.12.1")
    found = builder()
    assert found.command == (inside, "build")
    assert found.environment == {"DOCKER_BUILDKIT": "1", "DOCKER_CONTEXT": "its"}, "on the engine that was found"


def test_buildx_is_taken_where_it_is(put_client: PutClient, monkeypatch: pytest.MonkeyPatch) -> None:
    program = put_client("a", "20.10.24", buildx="v0.12.1")
    assert builder().command == (program, "buildx", "build", "--load", "--build-arg=SOURCE_DATE_EPOCH=315532800")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert builder().command == (program, "buildx", "build", "--load"), "buildx takes the user's"


@pytest.mark.parametrize(
    ("version", "inside"), [("18.06.1", False), ("18.09.0", True), ("22.06.0", True), ("23.0.0", False)]
)
def test_which_versions_have_buildkit_inside(put_client: PutClient, version: str, inside: bool) -> None:
    program = put_client("a", version)
    if inside:
        assert builder().command == (program, "build")
        return
    with pytest.raises(EngineError) as caught:
        builder()
    assert f"{program} ({version}): has no buildx plugin" in (caught.value.detail or "")


@pytest.mark.parametrize(("version", "json"), [("v0.12.1", False), ("v0.13.0", True), ("0.13.1+ds1", True)])
def test_which_buildx_tells_its_progress_in_json(put_client: PutClient, version: str, json: bool) -> None:
    put_client("a", "28.2.2", buildx=version)
    assert builder().tells_json is json


def test_a_program_that_does_not_get_on_with_the_engine_is_stepped_over(put_client: PutClient) -> None:
    put_client("new", "29.0.0", trouble="client version 1.44 is too new. Maximum supported API version is 1.41")
    old = put_client("old", "20.10.24")
    assert builder().command[0] == old


def test_each_program_s_own_words_are_told_where_none_builds(put_client: PutClient, tmp_path: Path) -> None:
    one = put_client("one", "28.2.2", trouble="Cannot connect to the Docker daemon")
    two = Path(put_client("two", "1"))
    two.write_text("#!/bin/sh\necho Emulating\n")
    with pytest.raises(EngineError) as caught:
        builder()
    assert (caught.value.detail or "").splitlines() == [
        f"{one} (28.2.2): Cannot connect to the Docker daemon",
        f"{two}: names no engine",
    ]


def test_a_client_under_two_names_counts_once(
    put_client: PutClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = put_client("one", "20.10.24")
    (tmp_path / "link").symlink_to(tmp_path / "one")
    monkeypatch.setenv("PATH", f"{tmp_path / 'link'}{os.pathsep}{tmp_path / 'one'}")
    assert docker_programs() == (str(tmp_path / "link" / "docker"),)
    assert program != docker_programs()[0]


class Api:
    def inspect_image(self, _: str) -> dict[str, Any]:
        return {"Id": "sha256:abc", "Size": 7}


@pytest.mark.attack("C1")
def test_what_a_build_passes_to_its_client(put_client: PutClient, tmp_path: Path) -> None:
    put_client(
        "one",
        "28.2.2",
        buildx="v0.12.1",
        more=f"""if [ "$1" = buildx ]; then for each; do echo "$each" >> {tmp_path}/arguments; done
echo "$BUILDX_NO_DEFAULT_ATTESTATIONS$BUILDX_GIT_INFO$BUILDX_GIT_LABELS" >> {tmp_path}/arguments; exit 0; fi
exit 0""",
    )
    built = DockerEngine(ENDPOINT, cast(Any, Api())).build(
        ImageBuild(
            context=tmp_path / "context",
            tag=ImageReference.parse("registry.example/flow:1"),
            platform=Platform.parse("linux/arm64"),
            secrets={"pip-conf": tmp_path / "pip,conf", "ca": tmp_path / "ca.pem"},
            network="host",
            build_args={"B": "2", "A": "one two"},
            labels={"l": "x"},
            pull=True,
            no_cache=True,
        )
    )
    assert (built.id, built.size) == ("sha256:abc", 7)
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert [each for each in arguments if not each.startswith("--iidfile")] == [
        "buildx",
        "build",
        "--load",
        "--build-arg=SOURCE_DATE_EPOCH=315532800",
        "--tag=registry.example/flow:1",
        "--platform=linux/arm64",
        "--progress=plain",
        f"--secret=id=ca,src={tmp_path}/ca.pem",
        f'--secret=id=pip-conf,"src={tmp_path}/pip,conf"',
        "--build-arg=A=one two",
        "--build-arg=B=2",
        "--label=l=x",
        "--network=host",
        "--pull",
        "--no-cache",
        str(tmp_path / "context"),
        "100",  # and so no attestations, and no git of buildx's own in the context's repository
    ]
