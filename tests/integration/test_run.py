"""One image, run in the ways that its users run it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowpack.errors import EngineError, ServingError
from flowpack.images.engine.docker_engine import DockerEngine
from flowpack.running.containers import ContainerServer, serve_in_container
from flowpack.running.scoring import score
from tests.commands import flowpack
from tests.integration.conftest import BuiltImage
from tests.integration.real_parts import Docker
from tests.openai_stub import OpenAIStub
from tests.paths import FLOWS, ROOT

pytestmark = [pytest.mark.engine, pytest.mark.network]

KEY = {"OPEN_AI_CONNECTION_API_KEY": "the-key"}


@pytest.fixture
def image(llm_image: BuiltImage) -> str:
    return llm_image.tag


@pytest.fixture(scope="module")
def stub() -> Iterator[OpenAIStub]:
    with OpenAIStub(host="0.0.0.0", key="the-key") as running:
        yield running


@pytest.fixture
def environment(stub: OpenAIStub) -> dict[str, str]:
    return {**KEY, "OPEN_AI_CONNECTION_API_BASE": stub.container_url}


MODELS = "/var/azureml-app/models"


def mounted(flow: Path) -> dict[str, Any]:
    """As Azure ML mounts a model, in the folder that AZUREML_MODEL_DIR names."""
    return {"binds": [f"{flow.parent}:{MODELS}:ro"]}


def containers(docker: Docker, image: str) -> list[str]:
    """Those of this module's image, running or not: others may run flowpack on this machine too."""
    return docker("ps", "--all", "--quiet", "--filter=label=flowpack.run=1", f"--filter=ancestor={image}").split()


@pytest.mark.parametrize("serving_engine", ["flask", "fastapi"])
def test_an_llm_flow_in_a_container_with_its_connection_from_variables_alone(
    engine: DockerEngine,
    image: str,
    stub: OpenAIStub,
    environment: dict[str, str],
    docker: Docker,
    tmp_path: Path,
    serving_engine: str,
) -> None:
    stub.requests.clear()
    given = {**environment, "PROMPTFLOW_SERVING_ENGINE": serving_engine}
    with serve_in_container(engine, image, environment=given) as served:
        assert served.engine == "docker"
        assert served.url.startswith("http://127.0.0.1:")
        assert score(served.url, {"question": "Hello?"}).answer == {"answer": "echo: Hello?"}
        assert "the-key" not in served.server.logs()
        copied = served.server.copy_out("/flow", tmp_path)
        assert (copied / "flow.dag.yaml").read_text() == (FLOWS / "llm-chat" / "flow.dag.yaml").read_text()
    assert [request.key for request in stub.requests] == ["the-key"]
    assert not containers(docker, image)


def test_workers_by_the_container_s_share_of_the_machine(
    engine: DockerEngine, image: str, environment: dict[str, str]
) -> None:
    with serve_in_container(engine, image, environment=environment, host={"nano_cpus": 1_000_000_000}) as served:
        assert "1 worker" in served.server.logs()


def test_what_is_missing_is_told_and_nothing_is_left(engine: DockerEngine, image: str, docker: Docker) -> None:
    with pytest.raises(ServingError) as caught, serve_in_container(engine, image, environment={}):
        pass
    assert "cannot start: 2 settings are missing" in (caught.value.detail or "")
    assert not containers(docker, image)


def test_a_model_mounted_by_azure_ml_is_served_instead_of_the_flow_in_the_image(
    engine: DockerEngine, image: str, environment: dict[str, str], tmp_path: Path
) -> None:
    flow = Path(shutil.copytree(FLOWS / "python-only", tmp_path / "model" / "python-only"))
    with serve_in_container(
        engine, image, environment={**environment, "AZUREML_MODEL_DIR": MODELS}, host=mounted(flow)
    ) as served:
        assert score(served.url, {"text": "a b c"}).answer == {"word_count": 3}


def test_a_port_of_one_s_own_and_the_host_s_network(
    engine: DockerEngine, image: str, environment: dict[str, str], stub: OpenAIStub
) -> None:
    given = {**environment, "OPEN_AI_CONNECTION_API_BASE": stub.url}
    with serve_in_container(engine, image, environment=given, network="host") as served:
        port = int(served.url.rpartition(":")[2])
        assert score(served.url, {"question": "Hi"}).answer == {"answer": "echo: Hi"}
    with serve_in_container(engine, image, environment=environment, port=port) as served:
        assert served.url == f"http://127.0.0.1:{port}"
        with (
            pytest.raises(EngineError) as caught,
            serve_in_container(engine, image, environment=environment, port=port),
        ):
            pass
        assert "--port" in (caught.value.hint or "")


@pytest.mark.attack("run: variables")
def test_a_container_gets_the_variables_it_was_given_and_no_others(
    engine: DockerEngine, image: str, environment: dict[str, str], docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "OPEN_AI_CONNECTION_SOMETHING"):
        monkeypatch.setenv(name, "planted")
    without = docker("run", "--rm", "--entrypoint=env", image).splitlines()
    with serve_in_container(engine, image, environment=environment) as served:
        assert isinstance(served.server, ContainerServer)
        given = docker("exec", served.server.name, "env").splitlines()
    added = {line.partition("=")[0] for line in given} - {line.partition("=")[0] for line in without}
    assert added == environment.keys()
    assert "planted" not in str(given)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_leaves_no_container(
    image: str, docker: Docker, environment: dict[str, str], name: str, tmp_path: Path
) -> None:
    program = (
        "import json, os, sys, time\nfrom flowpack.images.engine import find_engine\n"
        "from flowpack.running.containers import serve_in_container\n"
        "with serve_in_container(find_engine(), sys.argv[1], environment=json.loads(sys.argv[2])) as served:\n"
        "    print(served.url, flush=True)\n    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", program, image, json.dumps(environment)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("http://")
        assert len(containers(docker, image)) == 1
        running.send_signal(getattr(signal, name))
        assert running.wait(60) != 0
    assert not containers(docker, image)


def test_an_image_that_is_not_there(engine: DockerEngine) -> None:
    with pytest.raises(EngineError) as caught, serve_in_container(engine, "flowpack-no-such-image:1", environment={}):
        pass
    assert "flowpack build" in (caught.value.hint or "")


def test_what_a_build_tagged_is_not_built_again(llm_image: BuiltImage, environment: dict[str, str]) -> None:
    given = [f"--env={name}={value}" for name, value in environment.items()]
    done = flowpack("test", llm_image.context, *given, "--engine", "docker", "--input", "question=hello")
    assert "built" not in done.stderr
    assert "building" not in done.stderr
