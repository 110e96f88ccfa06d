"""``flowpack build`` without an engine: what is written, what is reused, what is refused."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands import flowpack
from tests.paths import FLOWS, ROOT


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixtures in a project of their own, with fresh locks beside the flows, made once for all tests here."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(FLOWS.parent, folder / "fixtures", ignore=shutil.ignore_patterns("broken"))
    (folder / ".git").mkdir()
    for name in ("chat-with-includes", "custom-connection"):
        flowpack("lock", folder / "fixtures" / "flows" / name, "--quiet")
    return folder


@pytest.fixture
def chat(project: Path) -> Path:
    return project / "fixtures" / "flows" / "chat-with-includes"


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.network
def test_the_whole_context_is_written(chat: Path, tmp_path: Path) -> None:
    done = flowpack("build", chat, "--format", "docker", "--output", tmp_path / "out", "--locked")
    assert done.stdout == f"{tmp_path / 'out'}\n"
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        *("Dockerfile", ".dockerignore", "build_stage", "connections", "flow", "flowpack.json", "flowpack_serving"),
        *("requirements.lock", "settings.json", "bom.cdx.json"),
    }
    assert (out / "requirements.lock").read_bytes() == (chat / "requirements.lock").read_bytes()
    assert not (out / "flow" / "requirements.lock").exists()
    assert json.loads((out / "settings.json").read_text()) == {}
    record = json.loads((out / "flowpack.json").read_text())
    assert record["flow"]["properties"]["azureml.promptflow.mode"] == "chat"


@pytest.mark.network
def test_equal_inputs_give_equal_bytes_wherever_they_are(chat: Path, tmp_path: Path) -> None:
    shutil.copytree(chat.parents[2], tmp_path / "elsewhere")
    flowpack("build", chat, "--output", tmp_path / "one", "--locked")
    flowpack(
        "build",
        "chat-with-includes",
        "--output",
        tmp_path / "two",
        "--locked",
        cwd=tmp_path / "elsewhere/fixtures/flows",
    )
    assert listing(tmp_path / "one") == listing(tmp_path / "two")
    assert str(tmp_path).encode() not in b"".join(listing(tmp_path / "one").values())


@pytest.mark.network
def test_connections_become_references_to_variables(project: Path, tmp_path: Path) -> None:
    flow = project / "fixtures" / "flows" / "custom-connection"
    done = flowpack("build", flow, "--output", tmp_path / "out", "--json", env={"WEATHER_SERVICE_API_KEY": "hush"})
    assert json.loads((tmp_path / "out" / "settings.json").read_text()) == dict.fromkeys(done.json["variables"], "")
    assert "WEATHER_SERVICE_API_KEY" in done.json["variables"]
    assert "${env:WEATHER_SERVICE_API_KEY}" in (tmp_path / "out/connections/weather_service.yaml").read_text()
    assert b"hush" not in b"".join(listing(tmp_path / "out").values())


@pytest.mark.network
def test_a_dry_run_shows_the_plan_and_the_dockerfile_and_writes_nothing(chat: Path, tmp_path: Path) -> None:
    before = listing(tmp_path)
    done = flowpack("build", chat, "--dry-run", "--output", tmp_path / "out")
    assert "reused requirements.lock" in done.stdout
    assert "flow/search/ranking.py" in done.stdout
    assert "FROM base AS dependencies" in done.stdout
    assert listing(tmp_path) == before
    flowpack("build", chat, "--output", tmp_path / "real", "--locked")
    assert (
        flowpack("build", chat, "--dry-run", "--json").json["dockerfile"] == (tmp_path / "real/Dockerfile").read_text()
    )


def test_a_dry_run_without_a_lock_runs_no_resolver(tmp_path: Path) -> None:
    done = flowpack("build", FLOWS / "llm-chat", "--dry-run", env={"PATH": "", "PIP_NO_INDEX": "1", "UV_OFFLINE": "1"})
    assert "to be resolved for Python 3.11" in done.stdout
    assert "OPEN_AI_CONNECTION_API_KEY" in done.stdout


@pytest.mark.network
def test_without_a_lock_beside_the_flow_the_outputs_own_is_kept(chat: Path, tmp_path: Path) -> None:
    shutil.copytree(chat.parents[2], tmp_path / "project")
    flow = tmp_path / "project/fixtures/flows/chat-with-includes"
    flowpack("build", flow, "--output", tmp_path / "out", "--locked")
    (flow / "requirements.lock").unlink()
    (flow / "find.py").write_text((flow / "find.py").read_text() + "\n# changed\n")
    done = flowpack("build", flow, "--output", tmp_path / "out", "--json")
    assert done.json["lock_origin"] == "reused requirements.lock"


@pytest.mark.network
def test_a_stale_lock_is_refused_and_the_output_stays(chat: Path, tmp_path: Path) -> None:
    shutil.copytree(chat.parents[2], tmp_path / "project")
    flow = tmp_path / "project/fixtures/flows/chat-with-includes"
    flowpack("build", flow, "--output", tmp_path / "out", "--locked")
    before = listing(tmp_path / "out")
    (flow / "requirements.txt").write_text("jinja2>=3.1,<4\nidna\n")
    done = flowpack("build", flow, "--output", tmp_path / "out", "--locked", expect=1)
    assert "'idna' is new" in done.stderr
    assert f"hint: run `flowpack lock {flow}` to renew it" in done.stderr
    assert listing(tmp_path / "out") == before


@pytest.mark.network
def test_no_buildkit_renders_without_mounts(chat: Path, tmp_path: Path) -> None:
    flowpack("build", chat, "--output", tmp_path / "out", "--no-buildkit", "--locked")
    assert "--mount" not in (tmp_path / "out" / "Dockerfile").read_text()


@pytest.mark.network
@pytest.mark.attack("held: kill -9 at any moment")
def test_kill_9_in_the_middle_leaves_the_old_output_or_the_new(chat: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flowpack("build", chat, "--output", out, "--locked")
    old = listing(out)
    flowpack("build", chat, "--output", tmp_path / "new", "--locked", "--no-buildkit")
    new = listing(tmp_path / "new")
    command = [sys.executable, "-m", "flowpack", "build", str(chat), "--output", str(out), "--locked", "--no-buildkit"]
    for attempt in range(10):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # From the start of staging on: as soon as something stands beside the output, a moment later each time.
        while process.poll() is None and not list(tmp_path.glob(".out.flowpack-*")):
            time.sleep(0.0005)
        time.sleep(attempt * 0.0005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert listing(out) in (old, new)
        if listing(out) == new:
            flowpack("build", chat, "--output", out, "--locked")
    flowpack("build", chat, "--output", out, "--locked")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_engine_that_does_not_answer_is_known_before_anything_is_resolved(tmp_path: Path) -> None:
    done = flowpack(
        *("build", FLOWS / "llm-chat", "--output", tmp_path / "out", "--tag", "team/flow:1"),
        env={"DOCKER_HOST": "tcp://127.0.0.1:9"},
        expect=3,
    )
    assert "tcp://127.0.0.1:9" in done.stderr
    assert "resolving" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_errors_are_json_too_where_json_is_asked_for(tmp_path: Path) -> None:
    done = flowpack("build", tmp_path / "nowhere", "--output", tmp_path / "out", "--json", expect=1)
    assert done.json["error"] == "InputError"
    assert done.json["file"] == str(tmp_path / "nowhere")
