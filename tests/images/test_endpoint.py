"""Where the engine is looked for, and how one that does not answer is told."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from flowpack.errors import EngineError
from flowpack.images.engine.endpoint import Endpoint, connect, find_endpoint


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Docker configuration with a context named ``its``, which is the current one."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "docker"
    place = folder / "contexts" / "meta" / hashlib.sha256(b"its").hexdigest()
    place.mkdir(parents=True)
    endpoints = {"docker": {"Host": "unix:///run/its.sock", "SkipTLSVerify": False}}
    (place / "meta.json").write_text(json.dumps({"Name": "its", "Metadata": {}, "Endpoints": endpoints}))
    (folder / "config.json").write_text(json.dumps({"currentContext": "its"}))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder


def test_the_current_context_is_taken_and_a_docker_program_is_sent_there(configuration: Path) -> None:
    endpoint = find_endpoint()
    assert str(endpoint) == "unix:///run/its.sock (context its)"
    assert endpoint.environment == {"DOCKER_CONTEXT": "its", "DOCKER_HOST": None}
    assert endpoint.hostname is None


def test_docker_host_goes_before_a_context_and_docker_context_before_the_current_one(configuration: Path) -> None:
    assert find_endpoint({"DOCKER_CONTEXT": "default"}).origin == "context default"
    found = find_endpoint({"DOCKER_CONTEXT": "its", "DOCKER_HOST": "tcp://engine.example:2375"})
    assert (str(found), found.hostname) == ("tcp://engine.example:2375 (DOCKER_HOST)", "engine.example")


def test_a_context_that_does_not_exist_is_named(configuration: Path) -> None:
    with pytest.raises(EngineError, match="there is no Docker context 'other'") as caught:
        find_endpoint({"DOCKER_CONTEXT": "other"})
    assert "docker context ls" in (caught.value.hint or "")


def test_a_context_that_cannot_be_read_is_named(configuration: Path) -> None:
    [meta] = configuration.rglob("meta.json")
    meta.write_text("{")
    with pytest.raises(EngineError, match="the Docker context 'its' cannot be read"):
        find_endpoint()


def test_no_engine_tells_where_it_looked(tmp_path: Path) -> None:
    nowhere = Endpoint(host=f"unix://{tmp_path}/none.sock", origin="context its")
    with pytest.raises(EngineError) as caught:
        connect(nowhere)
    assert caught.value.message == f"no container engine answers at unix://{tmp_path}/none.sock (context its)"
    assert "start the engine" in (caught.value.hint or "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use every socket")
def test_a_socket_that_this_user_may_not_use_names_the_group(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    with pytest.raises(EngineError) as caught:
        connect(Endpoint(host=f"unix://{tmp_path}/s", origin="context its"))
    tmp_path.chmod(0o700)
    assert "usermod" in (caught.value.hint or "")


def test_a_password_in_docker_host_is_not_shown() -> None:
    with pytest.raises(EngineError) as caught:
        connect(find_endpoint({"DOCKER_HOST": "tcp://me:hunter2@127.0.0.1:1"}))
    assert "hunter2" not in str(caught.value)


@pytest.mark.attack("C1")
def test_what_the_sdk_starts_is_no_program_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"bin{os.pathsep}/usr/bin{os.pathsep}.")
    with pytest.raises(EngineError):
        connect(Endpoint(host=f"unix://{tmp_path}/none.sock", origin="a test"))
    assert os.environ["PATH"] == "/usr/bin"
