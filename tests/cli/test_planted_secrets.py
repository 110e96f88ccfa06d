"""Secrets of the machine, of the flow's folder and of its repository are in nothing that flowpack writes or says.

tests/integration looks into the layers and the history of an image.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from flowpack.uv_program import find_uv_program
from tests.dependencies.packages import SimpleIndex, write_serving_wheels, write_wheel
from tests.paths import write_tree

INDEX, NETRC, DOCKER, AZURE, DOTENV, REMOTE, VARIABLE, PROXY = (
    f"planted-{name}-7c1f" for name in ("index", "netrc", "docker", "azure", "dotenv", "remote", "variable", "proxy")
)
SECRETS = (INDEX, NETRC, DOCKER, AZURE, DOTENV, REMOTE, VARIABLE, PROXY)
FLOW = """\
inputs: {q: {type: string, default: a}}
outputs: {o: {type: string, reference: "${ask.output}"}}
nodes:
- {name: ask, type: python, source: {type: code, path: ask.py}, inputs: {q: "${inputs.q}"}}
environment: {python_requirements_txt: requirements.txt}
environment_variables: {AWS_SECRET_ACCESS_KEY: "", GREETING: hello}
"""
TOOL = "from promptflow.core import tool\n\n\n@tool\ndef ask(q: str) -> str:\n    return q\n"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """The address of an index that asks for a password."""
    wheels = tmp_path / "wheels"
    write_serving_wheels(wheels)
    write_wheel(wheels, "greetings", "1.0")
    handler = type("Index", (SimpleIndex,), {"wheels": wheels, "credentials": f"me:{INDEX}"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://me:{INDEX}@127.0.0.1:{server.server_port}/simple"
    server.shutdown()
    server.server_close()


@pytest.fixture
def home(tmp_path: Path, index: str) -> Path:
    auth = base64.b64encode(f"me:{DOCKER}".encode()).decode()
    return write_tree(
        tmp_path / "home",
        {
            ".config/pip/pip.conf": f"[global]\nindex-url = {index}\n",
            ".netrc": f"machine 127.0.0.1 login other password {NETRC}\n",
            ".docker/config.json": f'{{"auths": {{"registry.example": {{"auth": "{auth}"}}}}}}',
            ".azure/msal_token_cache.json": f'{{"AccessToken": {{"x": {{"secret": "{AZURE}"}}}}}}',
            ".azure/azureProfile.json": "{}",
        },
    )


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    repository = write_tree(
        tmp_path / "repository",
        {
            "flow/flow.dag.yaml": FLOW,
            "flow/ask.py": TOOL,
            "flow/requirements.txt": "greetings\n",
            "flow/.env": f"API_KEY={DOTENV}\n",
        },
    )
    settings = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    for arguments in (
        ("init", "--quiet"),
        ("remote", "add", "origin", f"https://me:{REMOTE}@git.example/flows.git"),
        ("add", "--all"),
        ("commit", "--quiet", "--message=first"),
    ):
        subprocess.run(("git", *settings, *arguments), cwd=repository, check=True)
    return repository / "flow"


@pytest.fixture
def environment(tmp_path: Path, home: Path) -> dict[str, str]:
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "XDG_"))}
    (tmp_path / "temporary").mkdir()
    return {
        **outer,
        "HOME": str(home),
        "TMPDIR": str(tmp_path / "temporary"),
        "FLOWPACK_CACHE_DIR": str(tmp_path / "cache"),
        "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
        "PIP_CONFIG_FILE": str(home / ".config/pip/pip.conf"),
        "AWS_SECRET_ACCESS_KEY": VARIABLE,
        "AZURE_CLIENT_SECRET": VARIABLE,
        "HTTPS_PROXY": f"http://me:{PROXY}@127.0.0.1:1",
        "NO_PROXY": "127.0.0.1",
        "DOCKER_HOST": "tcp://127.0.0.1:1",
    }


@pytest.mark.attack("held: secrets of the machine get nowhere")
@pytest.mark.parametrize("resolver", ["uv", "pip-tools"])
def test_no_secret_is_written_or_said(
    resolver: str, flow: Path, environment: dict[str, str], tmp_path: Path, index: str
) -> None:
    if resolver == "uv" and find_uv_program() is None:
        pytest.skip("there is no uv")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    said = ""

    def flowpack(*arguments: str, expect: int | None = 0) -> None:
        nonlocal said
        done = subprocess.run(
            (sys.executable, "-m", "flowpack", *arguments),
            cwd=flow.parent,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert expect in (None, done.returncode), done.stderr
        said += done.stdout + done.stderr

    flowpack("lock", "flow", "--python", python, "--resolver", resolver)
    flowpack("check", "flow", expect=None)
    flowpack("build", "flow", "--python", python, "--resolver", resolver, "--output", str(tmp_path / "written/build"))
    flowpack("register", "flow", "--registry", f"local:{tmp_path}/written/models")
    flowpack("build", "flow", "--output", str(tmp_path / "written/other"), "--tag", "registry.example/f:1", expect=3)
    # What pip and uv say of an index that refuses is shown, without the password.
    environment["PIP_INDEX_URL"] = index.replace(INDEX, f"wrong-{INDEX}")
    flowpack("lock", "flow", "--python", python, "--resolver", resolver, "--upgrade", expect=None)

    assert "greetings==1.0" in (flow / "requirements.lock").read_text()
    written = (*tree(tmp_path / "written"), *tree(tmp_path / "cache"), *tree(tmp_path / "temporary"))
    assert any(path.name == "Dockerfile" for path in written)
    for path in (*written, flow / "requirements.lock"):
        assert secrets_in(path.read_bytes()) == [], path
        assert path.name != ".env"
    assert secrets_in(said.encode()) == []


def tree(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def secrets_in(content: bytes) -> list[str]:
    """Plain, and as the header of a request holds them."""
    forms = {secret: (secret.encode(), base64.b64encode(f"me:{secret}".encode())) for secret in SECRETS}
    return [secret for secret, written in forms.items() if any(form in content for form in written)]
