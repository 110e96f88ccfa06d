"""The image that a user lives with: what its layers hold, how it runs, and that it is the same image each time."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from flowpack import __version__
from flowpack.images.engine.builders import find_builder
from flowpack.images.engine.docker_engine import DockerEngine
from flowpack.images.plan import FILE_TIME, SBOM_NAME
from flowpack.images.reference import ImageReference
from flowpack.process import run
from flowpack.running.containers import ContainerServer, serve_in_container
from flowpack.running.scoring import score
from tests.commands import flowpack
from tests.integration.conftest import PLANTED, BuiltImage
from tests.integration.image_layers import Entry, SavedImage, saved_image
from tests.integration.load import Load
from tests.integration.real_parts import Docker
from tests.openai_stub import OpenAIStub
from tests.paths import FLOWS, ROOT

pytestmark = [pytest.mark.engine, pytest.mark.network]

HARDENED: dict[str, Any] = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}
SOMEBODY = {"user": "12345"}

COMPILERS = re.compile(
    r"(.*-)?(gcc|g\+\+|cc|c\+\+|cc1|cc1plus|collect2|clang|clang\+\+|ld|ld\.\w+|as|ar|gold|rustc|cargo|gfortran|go|nvcc"
    r"|make|cmake|ninja)(-[\d.]+)?"
)
INSTALLERS = {"pip", "setuptools", "wheel", "uv", "pipx", "conda", "_distutils_hack", "pkg_resources", "ensurepip"}
CACHES = re.compile(r"/(root|home|tmp|var|run|etc|usr/share/doc)(/|$)|/\.cache(/|$)|/pip(-|/|$)|\.(whl|deb|log|tmp)$")
CONFIGURATION = {"pip.conf", "pip.ini", ".pypirc", ".netrc", "uv.toml", ".env", "ca-bundle", "ca-certificates.crt"}

# The flags of bytecode: whether it names its source by hash, and whether that is looked at when it is imported.
UNCHECKED, CHECKED = 0b01, 0b11


@pytest.fixture(scope="module")
def chat(
    chat_image: BuiltImage, base_image: ImageReference, docker: Docker, tmp_path_factory: pytest.TempPathFactory
) -> SavedImage:
    return saved_image(docker, chat_image.tag, str(base_image), tmp_path_factory.mktemp("chat-layers"))


@pytest.fixture(scope="module")
def llm(
    llm_image: BuiltImage, base_image: ImageReference, docker: Docker, tmp_path_factory: pytest.TempPathFactory
) -> SavedImage:
    return saved_image(docker, llm_image.tag, str(base_image), tmp_path_factory.mktemp("llm-layers"))


@pytest.fixture(scope="module", params=["chat", "llm"])
def image(request: pytest.FixtureRequest) -> SavedImage:
    saved: SavedImage = request.getfixturevalue(request.param)
    return saved


@pytest.fixture(scope="module")
def changed_code(
    building: dict[str, str], chat_image: BuiltImage, docker: Docker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The chat flow after a change to its code: a question that begins with ``slowly`` takes a second."""
    flow = copied_flow(tmp_path_factory.mktemp("changed"))
    find = flow / "find.py"
    source = find.read_text().replace("-> dict:\n", '-> dict:\n    time.sleep(question.startswith("slowly"))\n')
    find.write_text("import time\n" + source)
    tag = str(ImageReference.parse(f"{chat_image.tag.removesuffix(':1')}-changed:1"))
    flowpack("build", flow, "--include-root", flow.parents[1], "--tag", tag, env=building)
    yield tag
    docker("image", "rm", "--force", tag, check=False)


def copied_flow(folder: Path) -> Path:
    """The chat flow where its relative includes lead to copies as well."""
    shutil.copytree(ROOT / "fixtures" / "shared", folder / "shared")
    return Path(
        shutil.copytree(ROOT / "fixtures" / "flows" / "chat-with-includes", folder / "flows" / "chat-with-includes")
    )


# What the layers hold


def test_no_compiler_and_no_installer(image: SavedImage) -> None:
    programs = [entry for entry in image.entries if entry.kind != "folder" and entry.mode & 0o111]
    assert not [str(entry.path) for entry in programs if COMPILERS.fullmatch(entry.path.name)]
    assert not [
        str(entry.path) for entry in programs if entry.path.name.split("-")[0].rstrip("0123456789.") in INSTALLERS
    ]
    packages = {name.partition("-")[0].lower() for name in site_packages(image)}
    assert {"promptflow", "flask", "flowpack_serving"} <= packages
    assert not packages & INSTALLERS


def test_no_cache_and_no_configuration_of_the_build(image: SavedImage, ca_bundle: Path | None) -> None:
    """flowpack adds what is its own, and leaves the base's places for caches and settings alone."""
    paths = [entry.path for entry in image.entries]
    assert {path.parts[1] for path in paths} == {"opt", "connections", "flow", SBOM_NAME}
    assert {path.parts[2] for path in paths if path.parts[1] == "opt" and len(path.parts) > 2} == {"venv"}
    assert not [str(path) for path in paths if CACHES.search(str(path)) or path.name in CONFIGURATION]
    assert not [str(path) for path in paths if path.name.startswith(".wh.")], "a layer that deletes holds what it hides"
    if ca_bundle is not None:
        assert not image.holders(ca_bundle.read_bytes().strip())


def test_every_file_is_root_s_readable_by_all_and_of_one_time(image: SavedImage) -> None:
    found = Counter((entry.kind, oct(entry.mode), entry.owner[:2], entry.time, entry.pax) for entry in image.entries)
    assert set(found) == {
        ("folder", "0o755", (0, 0), FILE_TIME, ()),
        ("file", "0o644", (0, 0), FILE_TIME, ()),
        ("file", "0o755", (0, 0), FILE_TIME, ()),
        ("link", "0o777", (0, 0), FILE_TIME, ()),
    }
    names = {entry.owner[2:] for entry in image.entries}
    assert names in ({("root", "root")}, {("", "")}), "newer engines leave the names out"


def test_every_source_has_its_bytecode(image: SavedImage) -> None:
    """That of packages is never checked against its source; that of the flow is, as a mount may replace the source.

    Tests that packages bring along have none: no server imports them.
    """
    files = {entry.path: entry for entry in image.entries if entry.kind == "file"}
    sources = [path for path in files if path.suffix == ".py" and not is_script_or_test(path)]
    modes = Counter((own(path), bytecode_flags(files.get(bytecode(path)))) for path in sources)
    assert set(modes) <= {(True, CHECKED), (False, UNCHECKED)}
    assert modes[False, UNCHECKED] > 1000
    compiled = {path for path in files if path.suffix == ".pyc"}
    assert compiled == {bytecode(path) for path in sources}, "none without a source, none elsewhere"


def is_script_or_test(path: PurePosixPath) -> bool:
    return path.parts[1:4] == ("opt", "venv", "bin") or (
        not own(path) and bool({"test", "tests"} & set(path.parts[:-1]))
    )


def own(path: PurePosixPath) -> bool:
    return path.parts[1] == "flow" or "flowpack_serving" in path.parts


def bytecode(source: PurePosixPath) -> PurePosixPath:
    return source.parent / "__pycache__" / f"{source.stem}.cpython-311.pyc"


def bytecode_flags(entry: Entry | None) -> int | None:
    return int.from_bytes(entry.head[4:8], "little") if entry else None


def site_packages(image: SavedImage) -> set[str]:
    folder = PurePosixPath("/opt/venv/lib/python3.11/site-packages")
    return {entry.path.name for entry in image.entries if entry.path.parent == folder}


def test_no_value_of_a_connection(llm: SavedImage, llm_image: BuiltImage) -> None:
    assert not llm.holders(PLANTED.encode())
    assert not [
        path for path in llm_image.context.rglob("*") if path.is_file() and PLANTED in path.read_text("latin-1")
    ]
    [document] = [entry for entry in llm.entries if entry.path == PurePosixPath("/connections/open_ai_connection.yaml")]
    assert document.kind == "file"


def test_labels_lead_back_to_what_went_in(chat: SavedImage, chat_image: BuiltImage) -> None:
    record = json.loads((chat_image.context / "flowpack.json").read_text())
    labels = chat.config["config"]["Labels"]
    assert labels["flowpack.flow.digest"] == record["flow"]["digest"]
    assert labels["flowpack.lock.digest"] == record["lock_digest"]
    assert labels["flowpack.version"] == __version__
    assert labels["org.opencontainers.image.title"] == "chat-with-includes"
    assert re.fullmatch("[0-9a-f]{40}", labels["org.opencontainers.image.revision"])
    assert labels["org.opencontainers.image.base.name"]
    promptflow = {
        key.removeprefix("azureml.promptflow."): value for key, value in labels.items() if "promptflow" in key
    }
    assert promptflow == {
        "source_flow_id": "chat-with-includes",
        "mode": "chat",
        "chat_input": "question",
        "chat_output": "answer",
    }


# The same image each time


@pytest.mark.attack("held: secrets of the machine get nowhere")
def test_two_builds_are_equal_and_keep_no_secret(
    building: dict[str, str],
    base_image: ImageReference,
    docker: Docker,
    chat: SavedImage,
    tmp_path: Path,
    image_name: Callable[..., ImageReference],
) -> None:
    """The second in another folder, at another time, by another user with a umask of their own, and from scratch;
    around it lie secrets as they do on a workstation."""
    secrets = {place: f"planted-in-{place}-7c1f" for place in ("pip-config", "dot-env", "environment", "bundle")}
    flow = copied_flow(tmp_path / "elsewhere")
    (flow / ".env").write_text(f"TOKEN={secrets['dot-env']}\n")
    pip_config = tmp_path / "pip.conf"
    pip_config.write_text(f"[global]\n# {secrets['pip-config']}\nretries = 7\n")
    environment = {**building, "OPEN_AI_CONNECTION_API_KEY": secrets["environment"], "TOKEN": secrets["environment"]}
    if "FLOWPACK_CA_BUNDLE" in building:
        bundle = tmp_path / "bundle.pem"
        bundle.write_text(f"# {secrets['bundle']}\n" + Path(building["FLOWPACK_CA_BUNDLE"]).read_text())
        environment["FLOWPACK_CA_BUNDLE"] = str(bundle)
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    tag = str(image_name())
    # --no-cache: a secret is no part of the cache's key, so only a build from scratch reads this one
    build_as_someone_else(
        ("build", flow, "--include-root", flow.parents[1], "--tag", tag, "--pip-config", pip_config, "--no-cache"),
        environment,
        tmp_path,
    )
    again = saved_image(docker, tag, str(base_image), tmp_path)
    assert not [
        ours.differences(theirs) for ours, theirs in zip(chat.layers, again.layers, strict=True) if ours != theirs
    ]
    assert [layer.diff_id for layer in again.layers] == [layer.diff_id for layer in chat.layers]
    assert not again.holders(*(secret.encode() for secret in secrets.values()))


def test_where_the_builder_can_date_an_image_its_digest_is_equal_too(
    engine: DockerEngine,
    building: dict[str, str],
    docker: Docker,
    chat_image: BuiltImage,
    image_name: Callable[..., ImageReference],
) -> None:
    if "docker buildx" not in find_builder(run, engine.endpoint).description:
        pytest.skip("BuildKit before 0.11 dates an image by the clock")
    tag = str(image_name())
    flowpack("build", FLOWS / "chat-with-includes", "--tag", tag, "--no-cache", env=building)
    ids = [docker("image", "inspect", "--format={{.Id}} {{.Created}}", each) for each in (tag, chat_image.tag)]
    assert ids[0] == ids[1]


def build_as_someone_else(arguments: tuple[str | Path, ...], environment: dict[str, str], folder: Path) -> None:
    """As root: a user without a name, who may read what root may, since the interpreter can lie in root's home."""
    home = folder / "home"
    home.mkdir()
    program: list[str | Path] = [sys.executable, "-m", "flowpack"]
    if os.geteuid() == 0 and (setpriv := shutil.which("setpriv")):
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 12345, 12345)
        may = "+dac_override,+dac_read_search"
        program = [
            setpriv,
            "--reuid=12345",
            "--regid=12345",
            "--clear-groups",
            f"--inh-caps={may}",
            f"--ambient-caps={may}",
            "--securebits=+no_setuid_fixup",  # or access(2) would answer for the user alone
            *program,
        ]
        environment = {**environment, "HOME": str(home)}
    done = subprocess.run(
        [*program, *arguments],
        env={**os.environ, **environment, "TZ": "Asia/Tokyo", "LC_ALL": "C", "TMPDIR": str(home)},
        cwd=folder,
        umask=0o077,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_change_of_code_leaves_the_dependencies_as_they_were(
    chat: SavedImage, changed_code: str, base_image: ImageReference, docker: Docker, tmp_path: Path
) -> None:
    changed = saved_image(docker, changed_code, str(base_image), tmp_path)
    (*before, files, last), (*before_now, files_now, last_now) = chat.layers, changed.layers
    assert len(before) == 2, "the packages and the launcher"
    assert [layer.diff_id for layer in before_now] == [layer.diff_id for layer in before]
    assert files.differences(files_now) == [
        f"/{SBOM_NAME}",
        "/flow/__pycache__/find.cpython-311.pyc",
        "/flow/find.py",
    ]
    assert last_now == last


# How it runs


@pytest.mark.attack("held: read-only, any user, no capabilities")
@pytest.mark.parametrize(
    ("serving_engine", "options"),
    [("flask", {"mem_limit": "150m"}), ("fastapi", {"tmpfs": {"/tmp": ""}, "mem_limit": "150m"})],
)
def test_a_read_only_root_and_a_user_without_a_name(
    engine: DockerEngine, llm_image: BuiltImage, docker: Docker, options: dict[str, Any], serving_engine: str
) -> None:
    with OpenAIStub(key="the-key", host="0.0.0.0") as stub:
        given = {"OPEN_AI_CONNECTION_API_KEY": "the-key", "OPEN_AI_CONNECTION_API_BASE": stub.container_url}
        given["PROMPTFLOW_SERVING_ENGINE"] = serving_engine
        with serve_in_container(
            engine, llm_image.tag, environment=given, host={**HARDENED, **options}, settings=SOMEBODY
        ) as served:
            assert score(served.url, {"question": "Who?"}).answer == {"answer": "echo: Who?"}
            assert docker("exec", container(served.server), "id", "-u").strip() == "12345"
            assert docker("diff", container(served.server)) == ""
            assert "Traceback" not in served.server.logs()
            assert "Warning" not in served.server.logs()


def test_it_becomes_healthy_by_its_own_check(engine: DockerEngine, chat_image: BuiltImage, docker: Docker) -> None:
    """The image's own command, asked more often than in production."""
    with serve_in_container(
        engine,
        chat_image.tag,
        environment={},
        host=HARDENED,
        settings={**SOMEBODY, "healthcheck": {"interval": 1_000_000_000}},
    ) as served:
        deadline = time.monotonic() + 60
        while (status := health(docker, container(served.server))) == "starting" and time.monotonic() < deadline:
            time.sleep(0.2)
        assert status == "healthy"


@pytest.mark.attack("held: SIGTERM with Flask")
@pytest.mark.parametrize("serving_engine", ["flask", "fastapi"])
def test_a_stop_under_load_loses_no_request(
    engine: DockerEngine, changed_code: str, docker: Docker, serving_engine: str
) -> None:
    """On the host's network, where a client that is refused can be told from one that lost its answer."""
    given = {"PROMPTFLOW_WORKER_NUM": "2", "PROMPTFLOW_SERVING_ENGINE": serving_engine}
    with serve_in_container(
        engine, changed_code, environment=given, network="host", host=HARDENED, settings=SOMEBODY
    ) as served:
        load = Load(served.url)
        quick = [threading.Thread(target=load.until_refused, args=("Is membership free?",)) for _ in range(6)]
        slow = [threading.Thread(target=load.ask, args=("slowly: is membership free?",)) for _ in range(5)]
        for each in quick:
            each.start()
        time.sleep(1)
        for each in slow:
            each.start()
        time.sleep(0.3)
        docker("stop", "--time=60", container(served.server))
        for each in (*quick, *slow):
            each.join()
        assert not load.lost, load.lost[:3]
        assert load.answered["slowly: is membership free?"] == 5, "two workers: the others waited when the stop came"
        assert load.answered["Is membership free?"] > 6
        assert load.refused == 6, "each client went on until it was refused"
        assert docker("inspect", "--format={{.State.ExitCode}}", container(served.server)).strip() == "0"


def container(server: object) -> str:
    assert isinstance(server, ContainerServer)
    return server.name


def health(docker: Docker, name: str) -> str:
    return docker("inspect", "--format={{.State.Health.Status}}", name).strip()
