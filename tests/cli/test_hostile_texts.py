"""What a stranger's flow holds reaches no log as a command, no folder but the output, and no report as a secret."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from flowpack.checks.reports import FORMATS
from flowpack.cli.output import show
from tests.commands import Done, flowpack
from tests.paths import write_tree
from tests.planted_secrets import own_part, planted
from tests.test_quoting import is_a_command, lines_of

NO_ENGINE = {"DOCKER_HOST": "tcp://127.0.0.1:1"}
AZURE = "x ##vso[task.setvariable variable=PATH]evil"
GITHUB = "::error::x"
FLOW = "inputs: {q: {type: string}}\noutputs: {a: {type: string, reference: '${inputs.q}'}}\nnodes: []\n"
LLM = (
    "inputs: {}\noutputs: {a: {type: string, reference: '${n.output}'}}\nnodes:\n"
    "- {name: n, type: llm, source: {type: code, path: n.jinja2}, connection: %s, api: chat, inputs: {}}\n"
)


def commands_in(done: Done) -> list[str]:
    return [line for line in lines_of(done.stdout + "\n" + done.stderr) if is_a_command(line)]


@pytest.fixture(params=[AZURE, f"\u3000{GITHUB}"])
def named(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A project in which folders and files have the name of a command, and two files of one place."""
    name: str = request.param
    flow = f"additional_includes: ['../other/{name}.txt', '../missing {name}']\n" + FLOW
    files = {
        f"flows/{name}/flow.dag.yaml": flow.replace(f", '../missing {name}'", ""),
        f"flows/{name}/requirements.txt": f"broken requirement {name}\n",
        f"flows/{name}/{name}.txt": "own",
        f"flows/{name}/CON": "",
        f"flows/other/{name}.txt": "included",
        f"broken/{name} 2/flow.dag.yaml": flow,
        ".git/HEAD": "",
    }
    return write_tree(tmp_path / "project", files)


@pytest.mark.attack("H5")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("check", "."), 1),
        (("check", ".", "--format", "junit"), 1),
        (("ci", "flows", "broken", "--json"), 3),
    ],
)
def test_no_name_is_a_command_in_a_log(arguments: Sequence[str], code: int, named: Path) -> None:
    done = flowpack(*arguments, cwd=named, env=NO_ENGINE, expect=code)
    assert "evil" in done.stdout + done.stderr or "x" in done.stdout + done.stderr
    assert commands_in(done) == []


@pytest.mark.attack("H5")
@pytest.mark.parametrize("more", [(), ("--json",), ("--dry-run",)])
def test_no_name_is_a_command_in_the_log_of_a_build(more: Sequence[str], named: Path) -> None:
    for flow in (*(named / "flows").iterdir(), *(named / "broken").iterdir()):
        if (flow / "flow.dag.yaml").exists():
            arguments = ("build", flow.relative_to(named), "--output", f"out {flow.name}", *more)
            done = flowpack(*arguments, cwd=named, expect=1)
            assert commands_in(done) == []


@pytest.mark.attack("H5")
def test_a_wrong_command_line_by_a_glob_is_no_command(tmp_path: Path) -> None:
    done = flowpack("build", ".", "--include-root", f"{GITHUB}\n{GITHUB}", cwd=tmp_path, expect=2)
    assert "does not exist" in done.stderr
    assert commands_in(done) == []


@pytest.mark.attack("H5")
def test_the_reports_own_commands_are_the_only_ones(named: Path) -> None:
    for format_, start in (("github", "::"), ("azure-pipelines", "##vso[task.logissue ")):
        done = flowpack("check", ".", "--format", format_, cwd=named, expect=1)
        assert all(line.startswith(start) for line in lines_of(done.stdout) if line)
        assert not any(map(is_a_command, lines_of(done.stderr)))


@pytest.mark.attack("H5")
def test_what_a_server_or_an_engine_says_is_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    for line in (AZURE, GITHUB, f"warning: {AZURE}", "\x1b[2J\x1b]0;x\x07", f"a\r{GITHUB}", "warning: keep"):
        show(line)
    told = capsys.readouterr().err
    assert not any(map(is_a_command, lines_of(told)))
    assert "\x1b" not in told
    assert told.endswith("warning: keep\n")


@pytest.mark.attack("H2")
@pytest.mark.parametrize("name", ["../../../../victim/new/X", "../X", "/VICTIM/X", "a/b", "..", "a\\\\b"])
def test_a_connection_writes_no_file_outside_the_output(name: str, tmp_path: Path) -> None:
    name = name.replace("VICTIM", str(tmp_path))
    files = {"flow/flow.dag.yaml": LLM % f'"{name}"', "flow/n.jinja2": "x", ".git/HEAD": ""}
    project = write_tree(tmp_path / "a/b/c/project", files)
    before = sorted(tmp_path.rglob("*"))
    done = flowpack("build", project / "flow", "--output", project / "out", expect=1)
    assert "flow.dag.yaml:4:" in done.stderr
    assert "is not a valid name of a connection" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def leaky(tmp_path: Path) -> Path:
    """Each kind in a file that ships, in the flow file, beside other faults of the same line, and in a deployment."""
    secrets = planted()
    token, key = secrets["a GitHub token"], secrets["an AWS access key"]
    index = secrets["a password in a URL"]
    files = {
        "flow/flow.dag.yaml": f"environment_variables: {{TOKEN: {token}, my_api_key: {key}}}\n" + FLOW,
        "flow/requirements.txt": f"{index}\nnumpy # {token}\n{key}==1\n",
        "flow/deployment.yaml": (
            "$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json\nname: blue\n"
            f"endpoint_name: e\nmodel: azureml:m:1\nenvironment_variables: {{API_KEY: 12345678901, T: {token}}}\n"
        ),
        ".git/HEAD": "",
        **{f"flow/notes/{number}.txt": line + "\n" for number, line in enumerate(secrets.values())},
    }
    return write_tree(tmp_path / "project", files)


def assert_none_of_it(text: str) -> None:
    for kind, line in planted().items():
        assert own_part(line) not in text, kind


@pytest.mark.attack("M5")
@pytest.mark.parametrize("format_", FORMATS)
def test_no_report_holds_a_secret_or_its_line(format_: str, leaky: Path) -> None:
    done = flowpack("check", ".", "--format", format_, cwd=leaky, expect=1)
    assert_none_of_it(done.stdout + done.stderr)
    for kind in planted():
        assert kind in done.stdout.replace("&#34;", '"'), kind
    assert "12345678901" not in done.stdout


@pytest.mark.attack("M5")
def test_no_baseline_and_no_cache_holds_a_secret(leaky: Path, tmp_path: Path) -> None:
    cache = {"FLOWPACK_CACHE_DIR": str(tmp_path / "cache")}
    flowpack("check", ".", "--write-baseline", cwd=leaky, env=cache)
    flowpack("check", ".", cwd=leaky, env=cache, expect=1)
    written = [leaky / "flowpack-baseline.json", *(path for path in (tmp_path / "cache").rglob("*") if path.is_file())]
    assert len(written) > 1
    for path in written:
        assert_none_of_it(path.read_text(encoding="utf-8", errors="replace"))


@pytest.mark.attack("M5")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("requirements.txt", "a password in a URL"),
        ("more/requirements-dev.txt", "a GitHub token"),
        ("pip.conf", "a password in a URL"),
        ("certificates/service.pem", "a private key"),
        ("keys/id_ed25519", "a private key"),
        ("home/.netrc", "a password of netrc"),
    ],
)
@pytest.mark.parametrize("command", ["build", "register"])
def test_index_credentials_and_keys_get_into_no_image_and_no_model(
    command: str, name: str, kind: str, tmp_path: Path
) -> None:
    line = planted()[kind]
    project = write_tree(
        tmp_path / "project", {"flow/flow.dag.yaml": FLOW, f"flow/{name}": line + "\n", ".git/HEAD": ""}
    )
    more = {
        "build": ("--output", "out"),
        "register": ("--registry", f"local:{tmp_path}/models"),
    }
    done = flowpack(command, "flow", *more[command], cwd=project, env=NO_ENGINE, expect=1)
    assert f"'{name}' ships with the flow and contains" in done.stderr
    assert f"flow/{name}:1:" in done.stderr
    assert_none_of_it(done.stdout + done.stderr)
    assert not any(path.is_file() for place in (project / "out", tmp_path / "models") for path in place.rglob("*"))
    suppressed = write_tree(project, {f"flow/{name}": f"# flowpack: ignore-file[FP209]\n{line}\n"})
    if command == "register" and name != "requirements.txt":
        flowpack(command, "flow", *more[command], cwd=suppressed)


@pytest.mark.attack("H5")
def test_a_jsons_answer_is_the_same_data(tmp_path: Path) -> None:
    write_tree(tmp_path, {f"{AZURE}/flow.dag.yaml": FLOW, ".git/HEAD": ""})
    done = flowpack("build", AZURE, "--dry-run", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["flow"] == AZURE
    assert commands_in(done) == []
