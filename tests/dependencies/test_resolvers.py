"""One contract for uv and pip-tools, on an index of wheels made here: no test in this module needs a network."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowpack.dependencies.lockfile import LOCK_NAME, Lockfile, lock_dependencies, parse_lock
from flowpack.dependencies.passed_variables import PassedVariable
from flowpack.dependencies.requirements import Requirements
from flowpack.dependencies.serving_needs import ServingNeeds
from flowpack.dependencies.target import Platform, Target
from flowpack.dependencies.uv_resolver import find_uv
from flowpack.errors import FlowpackError, RequirementsError, ToolError, UsageError
from flowpack.process import run
from tests.dependencies.conftest import Read
from tests.dependencies.packages import sha256, write_sdist, write_wheel
from tests.paths import write_tree
from tests.recording import Recording

TARGET = Target(f"{sys.version_info.major}.{sys.version_info.minor}", Platform.of_this_machine())
SERVING = {"promptflow-core", "promptflow-tracing", "starlette", "flask-cors", "httpx", "gunicorn", "uvicorn"}

Serve = Callable[..., str]

both = pytest.mark.parametrize("resolver", ["uv", "pip-tools"])


def lock(requirements: Requirements, resolver: str, **more: Any) -> Lockfile:
    if resolver == "uv" and find_uv(run) is None:
        pytest.skip("uv is not installed")
    if resolver == "pip-tools" and sys.platform != "linux":
        pytest.skip("pip-tools resolves for Linux on Linux alone")
    return lock_dependencies(requirements, **{"needs": ServingNeeds(), "target": TARGET, "resolver": resolver, **more})


def failure(requirements: Requirements, resolver: str, **more: Any) -> FlowpackError:
    with pytest.raises(FlowpackError) as raised:
        lock(requirements, resolver, **more)
    return raised.value


@both
def test_everything_is_pinned_with_the_hashes_of_all_its_archives(
    read: Read, wheels: Path, serve_index: Serve, no_configuration: pytest.MonkeyPatch, resolver: str
) -> None:
    no_configuration.setenv("PIP_CONFIG_FILE", "/dev/null")
    no_configuration.setenv("PIP_INDEX_URL", f"http://{serve_index(wheels)}/simple/")
    write_wheel(wheels, "alpha", "1.0", ["beta>=2"])
    tags = ("py3-none-any", "py3-none-macosx_11_0_arm64")
    files = [write_wheel(wheels, "beta", "2.0", tag=tag) for tag in tags]
    write_wheel(wheels, "beta", "1.0")
    made = lock(read("Alpha\n"), resolver)
    assert set(made.pins) == SERVING | {"alpha", "beta"}
    pins = {pin.name: pin for pin in parse_lock(made.text).pins}
    assert pins["beta"].version == "2.0"
    assert set(pins["beta"].hashes) == {sha256(path) for path in files}
    assert pins["beta"].via == ("alpha",)
    assert pins["alpha"].via == ("-r requirements.txt",)
    assert pins["starlette"].via == ("promptflow-core",)


def test_both_resolvers_give_the_same_bytes(read: Read, wheels: Path, flow: Path) -> None:
    write_wheel(wheels, "alpha", "1.0", ["beta[more]>=1", "gamma; python_version < '3'"])
    write_wheel(wheels, "beta", "2.0", ["delta; extra == 'more'"])
    write_wheel(wheels, "delta", "0.5")
    found = read("alpha\n-c pins.txt\n-r more/base.txt\n", pins="delta<1\n", more__base="beta ; python_version > '3'\n")
    needs = ServingNeeds(tools=True)
    by_uv, by_pip_tools = (lock(found, resolver, needs=needs).text for resolver in ("uv", "pip-tools"))
    assert by_uv.splitlines() == by_pip_tools.splitlines()


@both
def test_a_marker_is_that_of_the_target(read: Read, wheels: Path, resolver: str) -> None:
    write_wheel(wheels, "alpha", "1.0")
    write_wheel(wheels, "beta", "1.0")
    made = lock(read(f"alpha ; python_version == '{TARGET.python}'\nbeta ; sys_platform == 'win32'\n"), resolver)
    assert "alpha" in made.pins
    assert "beta" not in made.pins


@both
def test_constraints_bind_and_install_nothing(read: Read, wheels: Path, resolver: str) -> None:
    for version in ("1.0", "2.0"):
        write_wheel(wheels, "alpha", version)
    made = lock(read("alpha\n-c pins.txt", pins="alpha<2\nbeta==1\n"), resolver)
    assert made.pins["alpha"] == "1.0"
    assert "beta" not in made.pins


@both
def test_the_core_is_of_the_release_that_the_user_pins(read: Read, wheels: Path, resolver: str) -> None:
    assert lock(read("promptflow-core==1.17.2"), resolver).pins["promptflow-core"] == "1.17.2"


@both
def test_a_stale_locks_pins_are_kept_where_they_are_still_allowed(
    read: Read, wheels: Path, flow: Path, resolver: str
) -> None:
    write_wheel(wheels, "alpha", "1.0")
    write_wheel(wheels, "beta", "1.0")
    beside = flow / LOCK_NAME
    beside.write_text(lock(read("alpha\nbeta"), resolver).text)
    for name in ("alpha", "beta", "gamma"):
        write_wheel(wheels, name, "2.0")
    renewed = lock(read("alpha\nbeta>1\ngamma"), resolver, existing=beside)
    assert [renewed.pins[name] for name in ("alpha", "beta", "gamma")] == ["1.0", "2.0", "2.0"]
    upgraded = lock(read("alpha\nbeta>1\ngamma"), resolver, existing=beside, upgrade=True)
    assert upgraded.pins["alpha"] == "2.0"


@both
def test_what_is_wrong_is_told_at_its_line_in_the_resolvers_words(read: Read, wheels: Path, resolver: str) -> None:
    write_wheel(wheels, "alpha", "1.0")
    for text, name in [("alpha\n\nomega\n", "omega"), ("alpha\n\nalpha==9\n", "alpha")]:
        error = failure(read(text), resolver)
        assert isinstance(error, RequirementsError)
        assert error.location is not None
        assert error.location.line == (3 if name == "omega" else 1)
        assert name in str(error.detail)


@both
def test_a_conflict_names_both_sides(read: Read, wheels: Path, flow: Path, resolver: str) -> None:
    write_wheel(wheels, "alpha", "1.0", ["gamma<2"])
    write_wheel(wheels, "beta", "1.0", ["gamma>=2"])
    write_wheel(wheels, "gamma", "1.0")
    write_wheel(wheels, "gamma", "2.0")
    error = failure(read("-r more/all.txt\n", more__all="# both\nalpha\nbeta\n"), resolver)
    assert isinstance(error, RequirementsError)
    assert error.location is not None
    assert error.location.path == flow / "more" / "all.txt"
    assert error.location.line in {2, 3}
    assert all(word in str(error.detail) for word in ("alpha", "beta", "gamma"))
    assert "requirements.in" not in str(error.detail)


@both
def test_a_conflict_with_what_serving_needs_says_what_flowpack_adds(read: Read, wheels: Path, resolver: str) -> None:
    write_wheel(wheels, "alpha", "1.0", ["starlette>=1"])
    write_wheel(wheels, "starlette", "1.0")
    error = failure(read("alpha"), resolver)
    assert isinstance(error, RequirementsError)
    assert "what flowpack adds: promptflow-core==1.18.5 (it serves the flow)" in str(error.hint)


@both
def test_known_good_bounds_yield_to_what_another_package_needs(read: Read, wheels: Path, resolver: str) -> None:
    write_wheel(wheels, "alpha", "1.0", ["openai>=2000"])
    write_wheel(wheels, "openai", "2000.1")
    write_wheel(wheels, "openai", "1.0")
    said = Recording()
    assert lock(read("alpha"), resolver, reporter=said).pins["openai"] == "2000.1"
    assert "the requirements conflict with flowpack's known good versions: resolving without them" in said
    assert lock(read("promptflow-core==1.17.2\nopenai"), resolver).pins["openai"] == "2000.1"


@both
def test_known_good_bounds_hold_where_nothing_speaks_against_them(read: Read, wheels: Path, resolver: str) -> None:
    write_wheel(wheels, "alpha", "1.0", ["openai"])
    write_wheel(wheels, "openai", "2000.1")
    write_wheel(wheels, "openai", "1.0")
    assert lock(read("alpha"), resolver).pins["openai"] == "1.0"


@both
def test_a_folder_of_wheels_in_the_flow_is_asked(read: Read, wheels: Path, flow: Path, resolver: str) -> None:
    write_wheel(flow / "my wheels", "alpha", "7.0")
    assert lock(read("--find-links 'my wheels'\nalpha\n"), resolver).pins["alpha"] == "7.0"


@both
def test_prereleases_are_taken_where_the_file_allows_them(read: Read, wheels: Path, resolver: str) -> None:
    write_wheel(wheels, "alpha", "1.0")
    write_wheel(wheels, "alpha", "2.0rc1")
    assert lock(read("alpha"), resolver).pins["alpha"] == "1.0"
    assert lock(read("--pre\nalpha"), resolver).pins["alpha"] == "2.0rc1"


@both
def test_only_the_hashes_that_the_user_gives_are_trusted(read: Read, wheels: Path, resolver: str) -> None:
    one = sha256(write_wheel(wheels, "alpha", "1.0"))
    write_wheel(wheels, "alpha", "1.0", tag="py2-none-any")
    made = lock(read(f"alpha==1.0 --hash={one}\n"), resolver)
    assert next(pin.hashes for pin in parse_lock(made.text).pins if pin.name == "alpha") == (one,)


@both
def test_an_index_behind_a_password_is_read_through_pips_configuration(
    read: Read, wheels: Path, tmp_path: Path, serve_index: Serve, no_configuration: pytest.MonkeyPatch, resolver: str
) -> None:
    write_wheel(wheels, "alpha", "1.0")
    host = serve_index(wheels, credentials="me:hunter2")
    configuration = tmp_path / "private.conf"
    configuration.write_text(f"[global]\nindex-url = http://me:hunter2@{host}/simple/\n")
    no_configuration.setenv("PIP_CONFIG_FILE", str(configuration))
    commands: list[str] = []

    def watched(args: Any, **options: Any) -> Any:
        commands.extend(args)
        return run(args, **options)

    said = Recording()
    made = lock(read("alpha"), resolver, run=watched, reporter=said)
    assert made.pins["alpha"] == "1.0"
    assert host not in made.text
    assert "hunter2" not in " ".join([*commands, *said, made.text])


@both
def test_an_index_of_the_requirements_file_is_asked_with_its_password(
    read: Read, wheels: Path, tmp_path: Path, serve_index: Serve, no_configuration: pytest.MonkeyPatch, resolver: str
) -> None:
    write_wheel(tmp_path / "private", "alpha", "1.0")
    main, private = serve_index(wheels), serve_index(tmp_path / "private", credentials="me:hunter2")
    no_configuration.setenv("PIP_CONFIG_FILE", "/dev/null")
    no_configuration.setenv("PIP_INDEX_URL", f"http://{main}/simple/")
    no_configuration.setenv("FEED_TOKEN", "hunter2")
    asked = read(f"--extra-index-url http://me:${{FEED_TOKEN}}@{private}/simple/\nalpha\n")
    made = lock(asked, resolver, passed=[PassedVariable("FEED_TOKEN", "127.0.0.1")])
    assert made.pins["alpha"] == "1.0"
    assert f"\n--extra-index-url http://{private}/simple/\n" in made.text
    assert "hunter2" not in made.text
    assert main not in made.text


@pytest.mark.attack("H4")
@both
def test_an_index_that_the_requirements_add_gets_no_credentials_of_this_machine(
    read: Read, wheels: Path, tmp_path: Path, serve_index: Serve, no_configuration: pytest.MonkeyPatch, resolver: str
) -> None:
    write_wheel(tmp_path / "theirs", "alpha", "1.0")
    got: list[str] = []
    ours, theirs = serve_index(wheels, credentials="me:hunter2"), serve_index(tmp_path / "theirs", headers_seen=got)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login me password of-netrc\n")
    netrc.chmod(0o600)
    for name, value in {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": f"http://me:hunter2@{ours}/simple/",
        "UV_INDEX_THEIRS_USERNAME": "me",
        "UV_INDEX_THEIRS_PASSWORD": "of-uv",
        "NETRC": str(netrc),
        "AWS_SECRET_ACCESS_KEY": "of-aws",
    }.items():
        no_configuration.setenv(name, value)
    made = lock(read(f"--extra-index-url http://{theirs}/simple/\nalpha\n"), resolver)
    assert made.pins["alpha"] == "1.0"
    assert got
    assert [line for line in got if "authorization" in line.lower() or "of-" in line] == []


@pytest.mark.attack("H4")
@both
def test_a_resolver_that_fails_shows_no_value_of_a_passed_variable(
    read: Read, wheels: Path, serve_index: Serve, no_configuration: pytest.MonkeyPatch, resolver: str
) -> None:
    host = serve_index(wheels, status=403)
    no_configuration.setenv("PIP_CONFIG_FILE", "/dev/null")
    said = Recording()
    asked = read(f"--index-url http://{host}/${{FEED_TOKEN}}/simple/\nalpha\n")
    no_configuration.setenv("FEED_TOKEN", "Hunter2")
    error = failure(asked, resolver, passed=[PassedVariable("FEED_TOKEN")], reporter=said)
    assert "hunter2" not in f"{error} {error!r} {error.to_dict()} {said}".lower()
    assert "${FEED_TOKEN}" in str(error)


@pytest.mark.attack("H4")
@both
def test_a_resolver_that_fails_shows_no_password_of_an_index_in_requirements(
    read: Read, wheels: Path, serve_index: Serve, no_configuration: pytest.MonkeyPatch, resolver: str
) -> None:
    host = serve_index(wheels, credentials="me:other")
    no_configuration.setenv("PIP_CONFIG_FILE", "/dev/null")
    said = Recording()
    error = failure(read(f"-i http://me:hunter2@{host}/simple/\nalpha\n"), resolver, reporter=said)
    assert "hunter2" not in f"{error} {error.to_dict()} {said}"


@both
@pytest.mark.parametrize("attributes", [{"credentials": "me:other"}, {"status": 403}])
def test_an_index_that_refuses_is_no_fault_of_the_flow(
    read: Read, wheels: Path, serve_index: Serve, no_configuration: pytest.MonkeyPatch, resolver: str, attributes: Any
) -> None:
    host = serve_index(wheels, **attributes)
    no_configuration.setenv("PIP_CONFIG_FILE", "/dev/null")
    no_configuration.setenv("PIP_INDEX_URL", f"http://me:hunter2@{host}/simple/")
    error = failure(read("alpha"), resolver)
    assert isinstance(error, ToolError)
    assert error.exit_code == 3
    assert "hunter2" not in str(error)
    assert "index" in str(error.hint)


@both
def test_an_index_that_is_not_there_is_no_fault_of_the_flow(
    read: Read, no_configuration: pytest.MonkeyPatch, resolver: str
) -> None:
    no_configuration.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    no_configuration.setenv("PIP_RETRIES", "0")
    error = failure(read("alpha"), resolver)
    assert isinstance(error, ToolError)
    assert error.detail


def test_auto_takes_uv_where_it_is_installed_and_else_pip_tools(
    read: Read, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert " by uv " in lock(read(None), "auto").origin
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert " by pip-tools " in lock(read(None), "auto").origin
    with pytest.raises(ToolError, match="uv is not installed"):
        lock_dependencies(read(None), needs=ServingNeeds(), target=TARGET, resolver="uv")


def test_an_unknown_resolver_is_refused(read: Read) -> None:
    with pytest.raises(UsageError, match="'poetry' is not known"):
        lock_dependencies(read(None), needs=ServingNeeds(), target=TARGET, resolver="poetry")


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What a hostile setup.py makes where it runs."""
    return tmp_path / "ran"


@pytest.fixture
def hostile(wheels: Path, mark: Path) -> Path:
    return write_sdist(wheels, "hostile", "1.0", {"setup.py": f"open({str(mark)!r}, 'w')\n"})


@pytest.mark.attack("C3")
@both
@pytest.mark.parametrize("text", ["hostile", "hostile==1.0", "--pre\nhostile>=1", "hostile ; python_version > '3'"])
def test_a_package_without_a_wheel_is_refused_with_the_option_and_the_risk(
    read: Read, hostile: Path, mark: Path, resolver: str, text: str
) -> None:
    error = failure(read(text), resolver)
    assert isinstance(error, RequirementsError)
    assert error.message == (
        f"'hostile' has no wheel for {TARGET}, and building its source distribution runs its author's code"
    )
    assert error.location is not None
    assert error.location.line == text.count("\n") + 1
    assert "--allow-source hostile" in str(error.hint)
    assert "hostile" in str(error.detail)
    assert not mark.exists()


@pytest.mark.attack("C3")
@both
def test_a_package_without_a_wheel_that_another_needs_is_named(
    read: Read, wheels: Path, hostile: Path, mark: Path, resolver: str
) -> None:
    write_wheel(wheels, "alpha", "1.0", ["hostile>=1"])
    error = failure(read("alpha"), resolver)
    assert "'hostile' has no wheel" in error.message
    assert not mark.exists()


@pytest.mark.attack("C3")
@both
@pytest.mark.parametrize("setting", ["PIP_NO_BINARY", "UV_NO_BINARY_PACKAGE", "UV_NO_BINARY", "PIP_PREFER_BINARY"])
def test_no_variable_brings_source_distributions_back(
    read: Read, hostile: Path, mark: Path, no_configuration: pytest.MonkeyPatch, resolver: str, setting: str
) -> None:
    value = {"UV_NO_BINARY": "1", "PIP_PREFER_BINARY": "0"}.get(setting, "hostile")
    no_configuration.setenv(setting, value)
    assert "'hostile' has no wheel" in failure(read("hostile"), resolver).message
    assert not mark.exists()


@pytest.mark.attack("C3")
@both
@pytest.mark.parametrize("through", ["a requirement", "another package's metadata"])
def test_a_source_distribution_at_a_url_runs_nothing(
    read: Read, wheels: Path, hostile: Path, mark: Path, serve_index: Serve, resolver: str, through: str
) -> None:
    url = f"hostile @ http://{serve_index(wheels)}/files/{hostile.name}"
    if through == "a requirement":
        failure(read(url), resolver)
    else:
        write_wheel(wheels, "alpha", "1.0", [url])
        failure(read("alpha"), resolver)
    assert not mark.exists()


@pytest.mark.attack("C3")
@both
def test_a_project_s_own_settings_and_modules_do_not_count(
    read: Read, wheels: Path, hostile: Path, mark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resolver: str
) -> None:
    """The working directory is a stranger's: modules and settings in it take no part."""
    write_wheel(wheels, "alpha", "1.0")
    planted = f"open({str(mark)!r}, 'w')\n"
    write_tree(
        tmp_path / "project",
        {
            **{
                f"{name}.py": planted
                for name in ("pip", "piptools", "click", "build", "sitecustomize", "usercustomize")
            },
            "uv.toml": "no-build = false\n[pip]\nno-binary = [':all:']\n",
            "pyproject.toml": "[tool.uv]\nno-binary = true\n[tool.pip-tools]\nno-binary = ':all:'\n",
            ".python-version": "2.7\n",
        },
    )
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "project"))
    assert lock(read("alpha"), resolver).pins["alpha"] == "1.0"
    assert "'hostile' has no wheel" in failure(read("hostile"), resolver).message
    assert not mark.exists()
