"""The steps of the CI files in a stranger's checkout: what lies there is looked at, and none of it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.ci.test_workflow_files import scripts
from tests.paths import ROOT, write_tree

PLANTED = """\
import os
with open(os.environ["MARK"], "a") as mark:
    mark.write(f"{__file__}: {__name__}\\n")
"""
MODULES = (
    *("pip.py", "venv.py", "ensurepip/__init__.py", "click.py", "yaml.py", "sitecustomize.py", "usercustomize.py"),
    *("flowpack/__init__.py", "flowpack/__main__.py", "uv/__init__.py", "runpy.py", "pkgutil.py", "jinja2/__init__.py"),
    *("packaging/__init__.py", "setup.py", "conftest.py"),
)
SHELL = '#!/bin/sh\necho "$0" >> "$MARK"\n'
PROGRAMS = ("python", "python3", "pip", "git", "uv", "grep", "docker", "flowpack")
FLOW = "inputs: {}\nnodes: []\noutputs: {}\n"
LOOK_ALIKES = {
    "pyproject.toml": '[project]\nname = "flowpack"\nversion = "99"\n[project.scripts]\nflowpack = "setup:main"\n',
    "setup.cfg": "[global]\nindex-url = http://127.0.0.1:1/\n",
    "pip.conf": "[global]\nindex-url = http://127.0.0.1:1/\n",
    "uv.toml": 'index-url = "http://127.0.0.1:1/"\n',
    ".python-version": "2.7\n",
    "flows/chat/flow.dag.yaml": FLOW,
}


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "mark"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = write_tree(tmp_path / "checkout", {**dict.fromkeys(MODULES, PLANTED), **LOOK_ALIKES})
    write_tree(folder / "flows", dict.fromkeys(MODULES, PLANTED))
    for name in PROGRAMS:
        (folder / name).write_text(SHELL) if not (folder / name).is_dir() else None
    for path in folder.iterdir():
        path.chmod(0o755)
    return folder


@pytest.fixture
def variables(tmp_path: Path, checkout: Path, mark: Path) -> dict[str, str]:
    """Of a job whose owner lets Python find the repository's modules."""
    files = {"GITHUB_STEP_SUMMARY": "summary", "GITHUB_OUTPUT": "outputs", "AGENT_TEMPDIRECTORY": ""}
    return {
        **os.environ,
        **{name: str(tmp_path / path) for name, path in files.items()},
        "GITHUB_ACTION_PATH": str(tmp_path / "no-such-action"),
        "PACKAGE": str(tmp_path / "no-such-package"),
        "FLOWPACK_PACKAGE": str(tmp_path / "no-such-package"),
        "SOURCES": "flows",
        "FLOWPACK_SOURCES": "flows",
        "OPTIONS": "",
        "CHANGED_SINCE": "",
        "MAIN_BRANCH": "main",
        "FLOWPACK_MAIN_BRANCH": "main",
        "CI_COMMIT_BRANCH": "feature",
        "FLOWPACK_CACHE_DIR": str(tmp_path / "cache"),
        "DOCKER_HOST": "tcp://127.0.0.1:1",
        "PYTHONPATH": f".{os.pathsep}{checkout}",
        "MARK": str(mark),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def ran(script: str, folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script),
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.attack("C4")
@pytest.mark.parametrize("name", [name for name in scripts() if "before" not in name])
def test_no_module_of_the_checkout_is_loaded(name: str, checkout: Path, variables: dict[str, str], mark: Path) -> None:
    """Also where the step starts in the checkout, which the installing ones do not."""
    done = ran(scripts()[name], checkout, variables)
    assert not mark.exists(), mark.read_text()
    said = done.stdout + done.stderr
    expected = "no-such-" if "Install" in name else "checked: 1 flow" if "heck" in name else "flows/chat"
    assert expected in said


@pytest.mark.attack("C4")
def test_the_modules_would_be_loaded_by_what_is_not_isolated(
    checkout: Path, variables: dict[str, str], mark: Path
) -> None:
    ran("python -c ''", checkout, variables)
    assert "sitecustomize" in mark.read_text()


@pytest.mark.attack("C4")
def test_gitlab_s_environment_is_made_without_the_checkout(
    checkout: Path, variables: dict[str, str], mark: Path, tmp_path: Path
) -> None:
    script = scripts()["gitlab.yml: before"].replace("/opt/flowpack", str(tmp_path / "environment"))
    write_tree(tmp_path / "bin", {"apk": "#!/bin/sh\n"})
    (tmp_path / "bin/apk").chmod(0o755)
    subprocess.run(("git", "init", "--quiet"), cwd=checkout, check=True)
    variables["PATH"] = f"{tmp_path / 'bin'}{os.pathsep}{variables['PATH']}"
    done = ran(script, checkout, variables)
    assert (tmp_path / "environment/bin/python").exists()
    assert "no-such-package" in done.stderr
    assert not mark.exists(), mark.read_text()


@pytest.mark.attack("C4")
@pytest.mark.parametrize("tracked", [".flowpack-cache/flowpack/pip-tools/python3.12/bin/python", ".flowpack-cache"])
def test_gitlab_takes_no_cache_from_a_commit(
    tracked: str, checkout: Path, variables: dict[str, str], tmp_path: Path
) -> None:
    write_tree(tmp_path / "bin", {"apk": "#!/bin/sh\n"})
    (tmp_path / "bin/apk").chmod(0o755)
    write_tree(checkout, {tracked: SHELL})
    subprocess.run(("git", "init", "--quiet"), cwd=checkout, check=True)
    subprocess.run(("git", "add", "--force", tracked), cwd=checkout, check=True)
    variables["PATH"] = f"{tmp_path / 'bin'}{os.pathsep}{variables['PATH']}"
    done = ran(scripts()["gitlab.yml: before"], checkout, variables)
    assert done.returncode == 1
    assert "has a .flowpack-cache" in done.stderr


@pytest.mark.attack("held: no shell injection in the CI files")
def test_gitlab_hands_on_no_variable_of_a_commit(checkout: Path, variables: dict[str, str], tmp_path: Path) -> None:
    """Later jobs get what flowpack.env holds, and a link would lead what is written elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    write_tree(checkout, {"flowpack.env": "LD_PRELOAD=/builds/x.so\n"})
    (checkout / "flowpack.md").symlink_to(elsewhere)
    (checkout / "flowpack-quality.json").symlink_to(elsewhere)
    subprocess.run(("git", "init", "--quiet"), cwd=checkout, check=True)
    before = [line for line in scripts()["gitlab.yml: before"].splitlines() if line.startswith("rm ")]
    for script in (*before, scripts()["gitlab.yml: flowpack-build"], scripts()["gitlab.yml: flowpack-check"]):
        ran(script, checkout, variables)
    assert {line.partition("=")[0] for line in (checkout / "flowpack.env").read_text().splitlines()} == {
        *("flows", "images", "models", "endpoints")
    }
    assert "failed" in (checkout / "flowpack.md").read_text()
    assert elsewhere.read_text() == "untouched"


HOSTILE_VALUES = (
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned #",
    "' ; touch pwned ; '",
    '" ; touch pwned ; "',
    "x\ntouch pwned",
    "${IFS}touch${IFS}pwned",
    "a[$(touch pwned)]",
    "--option=$(touch pwned)",
    "* && touch pwned",
    "SCRIPT\ntouch pwned\n",
)


@pytest.mark.attack("held: no shell injection in the CI files")
@pytest.mark.parametrize("value", HOSTILE_VALUES)
@pytest.mark.parametrize("name", scripts())
def test_no_value_is_taken_for_shell(name: str, value: str, tmp_path: Path) -> None:
    """Branches, folders, image names and options come from whoever opens a pull request."""
    write_tree(tmp_path / "bin", dict.fromkeys(("python", "python3", "docker", "apk", "git"), "#!/bin/sh\n"))
    for program in (tmp_path / "bin").iterdir():
        program.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    fixed = {"GITHUB_EVENT_NAME": "push", "REGISTER": "true", "DEPLOY": "true", "FLOWPACK_REGISTER": "true"}
    fixed |= {"FLOWPACK_DEPLOY": "true", "GITHUB_REF": f"refs/heads/{value}"}
    fixed |= {"BUILD_SOURCEBRANCH": f"refs/heads/{value}", "AGENT_TEMPDIRECTORY": str(work)}
    variables = {**os.environ, **dict.fromkeys(values_of(name), value), **fixed}
    variables["PATH"] = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    script = scripts()[name].replace("/opt/flowpack", str(tmp_path / "opt"))
    ran(script, work, variables)
    assert not list(tmp_path.rglob("pwned"))


def values_of(name: str) -> set[str]:
    """The variables that the file gives its scripts, and those of the service that a stranger may choose."""
    if name.startswith("gitlab"):
        ours = set(yaml.safe_load((ROOT / "ci/gitlab.yml").read_text())["variables"])
    else:
        of_action = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
        of_azure = yaml.safe_load((ROOT / "ci/azure-pipelines.yml").read_text())["steps"]
        ours = {variable for step in (*of_action, *of_azure) for variable in step.get("env", {})}
    of_services = {"CI_COMMIT_BRANCH", "CI_PIPELINE_SOURCE", "BUILD_REASON", "CI_REGISTRY", "CI_REGISTRY_USER"}
    return ours | of_services | {"GITHUB_ACTION_PATH", "CI_REGISTRY_PASSWORD", "GITHUB_HEAD_REF"}


@pytest.mark.attack("C4")
def test_the_command_as_a_module_loads_nothing_of_the_working_directory(checkout: Path, mark: Path) -> None:
    """Where flowpack itself is found elsewhere; only ``python -I`` helps against one that calls itself flowpack."""
    for name in ("flowpack", "runpy.py", "pkgutil.py"):
        (checkout / name).rename(checkout.parent / name)
    environment = {**os.environ, "MARK": str(mark)}
    done = subprocess.run(
        (sys.executable, "-m", "flowpack", "check", "flows"),
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "checked: 1 flow" in done.stderr
    assert not mark.exists(), mark.read_text()
