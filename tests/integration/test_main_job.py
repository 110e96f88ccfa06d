"""The main job as a user runs it: from a flow folder to a pushed image that answers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowpack.images.engine.docker_engine import DockerEngine
from flowpack.images.reference import ImageReference
from tests.commands import flowpack
from tests.integration.real_parts import Docker, RunningRegistry
from tests.integration.registry_faults import faulty_registry
from tests.openai_stub import OpenAIStub
from tests.paths import FLOWS

CHAT = FLOWS / "chat-with-includes"


@pytest.fixture(scope="session")
def chat_build(building: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("chat") / "out"
    flowpack("build", CHAT, "--output", output, env=building)
    return output


@pytest.fixture
def stub() -> Iterator[OpenAIStub]:
    with OpenAIStub(key="test-key", host="0.0.0.0") as running:
        yield running


@pytest.mark.engine
@pytest.mark.registry
@pytest.mark.network
def test_a_flow_is_built_pushed_and_found_again_by_another_tool(
    building: dict[str, str], registry: RunningRegistry, docker: Docker, tmp_path: Path
) -> None:
    """By a connection that drops once, in the middle of a layer."""
    with faulty_registry(registry.host) as proxy:
        proxy.cut("PATCH", "/blobs/uploads/", times=1, after=1000)
        reference = RunningRegistry(proxy.host).reference("team/chat")
        arguments = ("build", CHAT, "--output", tmp_path / "out", "--tag", str(reference), "--push")
        done = flowpack(*arguments, env=building)
        assert len(proxy.broken) == 1
        name, _, digest = done.stdout.strip().partition("@")
        assert done.stdout.count("\n") == 1
        assert name == f"{reference.registry}/{reference.repository}"
        skopeo = ("skopeo", "inspect", "--tls-verify=false", f"docker://{reference}")
        inspected = subprocess.run(skopeo, capture_output=True, text=True, check=True)
        again = flowpack(*arguments, env=building)
    assert again.stdout == done.stdout, "an unchanged flow is the same image"
    found = json.loads(inspected.stdout)
    assert found["Digest"] == digest
    record = json.loads((tmp_path / "out" / "flowpack.json").read_text())
    assert found["Labels"]["flowpack.flow.digest"] == record["flow"]["digest"]
    assert found["Labels"]["azureml.promptflow.chat_output"] == "answer"
    assert "org.opencontainers.image.revision" in found["Labels"]
    local = ("--registry", f"local:{tmp_path / 'registry'}")
    tags = flowpack("register", tmp_path / "out", *local, "--json").json["tags"]
    assert tags["flowpack.image"] == done.stdout.strip()
    assert tags["flowpack.revision"] == found["Labels"]["org.opencontainers.image.revision"]
    answer = flowpack("test", str(reference), "--input", "question=Is membership free?").json
    assert answer["source"] == "membership"
    docker("image", "rm", "--force", str(reference), check=False)


@pytest.mark.engine
@pytest.mark.network
def test_the_image_runs_as_no_root_and_is_healthy(chat_build: Path, building: dict[str, str], docker: Docker) -> None:
    answer = flowpack("test", chat_build, "--engine", "docker", "--json", env=building).json
    assert answer["engine"] == "docker"
    assert answer["answer"]["source"] == "opening-hours"
    record = json.loads((chat_build / "flowpack.json").read_text())
    image = f"flowpack/chat-with-includes:{record['context_digest'].removeprefix('sha256:')[:16]}"
    config = json.loads(docker("image", "inspect", image))[0]["Config"]
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    seen = docker("run", "--rm", image, "python", "-c", "import os; print(os.getuid(), os.listdir('/flow'))")
    assert seen.startswith("10001 ")
    assert "flow.dag.yaml" in seen


@pytest.mark.engine
@pytest.mark.network
@pytest.mark.parametrize("kind", ["docker", "venv"])
def test_an_llm_flow_answers_with_its_connection_from_variables_alone(
    kind: str, building: dict[str, str], stub: OpenAIStub
) -> None:
    host = "host.docker.internal" if kind == "docker" else "127.0.0.1"
    settings = {
        "OPEN_AI_CONNECTION_API_KEY": "test-key",
        "OPEN_AI_CONNECTION_API_BASE": f"http://{host}:{stub.port}",
    }
    done = flowpack("test", FLOWS / "llm-chat", "--engine", kind, "--json", env={**building, **settings})
    assert "Which flows does this serve?" in done.json["answer"]["answer"]
    assert [request.key for request in stub.requests] == ["test-key"]
    assert "test-key" not in done.stderr


@pytest.mark.engine
@pytest.mark.network
def test_a_missing_setting_is_named_before_the_flow_starts(building: dict[str, str]) -> None:
    environment = {**building, "OPEN_AI_CONNECTION_API_KEY": "test-key"}
    done = flowpack("test", FLOWS / "llm-chat", "--engine", "docker", env=environment, expect=1)
    assert "OPEN_AI_CONNECTION_API_BASE" in done.stderr
    assert "building" not in done.stderr
    assert "test-key" not in done.stderr


@pytest.mark.engine
@pytest.mark.registry
@pytest.mark.network
def test_a_registry_that_refuses_leaves_the_output_as_it_was(
    building: dict[str, str], registry_with_login: RunningRegistry, tmp_path: Path
) -> None:
    (tmp_path / "docker").mkdir()
    done = flowpack(
        *("build", CHAT, "--output", tmp_path / "out", "--tag", str(registry_with_login.reference()), "--push"),
        env={**building, "DOCKER_CONFIG": str(tmp_path / "docker")},
        expect=3,
    )
    assert "docker login" in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.engine
def test_a_failed_image_build_leaves_the_output_as_it_was(
    building: dict[str, str], chat_build: Path, tmp_path: Path
) -> None:
    before = (chat_build / "flowpack.json").read_bytes()
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificates\n")
    at_once = tmp_path / "pip.conf"
    at_once.write_text("[global]\nretries = 0\n")
    done = flowpack(
        *("build", CHAT, "--output", chat_build, "--tag", "flowpack-test-broken:1", "--no-cache"),
        *("--pip-config", at_once),
        env={**building, "FLOWPACK_CA_BUNDLE": str(broken)},
        expect=3,
    )
    assert "the image was not built" in done.stderr
    assert (chat_build / "flowpack.json").read_bytes() == before


@pytest.mark.engine
@pytest.mark.network
def test_flowpacks_own_base_builds(
    building: dict[str, str], base_image: ImageReference, engine: DockerEngine, docker: Docker
) -> None:
    """The engine's own Python image where it has it; else the tests' base under its name, as nothing can be pulled."""
    own = ImageReference.parse("python:3.11-slim-bookworm")
    borrowed = engine.inspect(own) is None
    if borrowed:
        docker("tag", str(base_image), str(own))
    try:
        environment = {**building, "FLOWPACK_BASE_IMAGE": ""}
        flowpack("build", CHAT, "--tag", "flowpack-test-own-base:1", env=environment)
        assert flowpack("test", "flowpack-test-own-base:1", "--quiet").json["source"] == "opening-hours"
    finally:
        docker("image", "rm", "--force", "flowpack-test-own-base:1", *([str(own)] if borrowed else []), check=False)
