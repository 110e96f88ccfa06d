"""The built wheel, alone in an empty environment, does what the README shows, and has its pages with it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from flowpack.checks.registry import all_rules
from tests.integration.azure_parts import FOREIGN
from tests.pages import Reader
from tests.paths import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


def test_it_has_a_page_for_each_rule_and_the_address_of_the_documentation(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    assert {f"flowpack/checks/pages/{rule.code}.md" for rule in all_rules()} <= set(names)
    assert re.search(r"^Project-URL: Documentation, https://\S+/$", metadata, re.M)


@pytest.mark.engine
@pytest.mark.network
def test_the_readme_from_the_wheel_alone(wheel: Path, building: dict[str, str], tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, environment], check=True)
    variables = {name: value for name, value in os.environ.items() if not name.upper().startswith(FOREIGN)}
    variables["PATH"] = f"{environment / 'bin'}{os.pathsep}{_without_this_environment(variables['PATH'])}"
    variables |= {"VIRTUAL_ENV": str(environment), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    variables.pop("PYTHONPATH", None)
    # uv in place of pip, with this machine's cache: seconds instead of a minute.
    cache = subprocess.run([uv, "cache", "dir"], check=True, capture_output=True, text=True).stdout.strip()
    install = f"UV_CACHE_DIR={cache} {uv} pip install --quiet 'flowpack[fast] @ {wheel.as_uri()}'"
    with Reader(tmp_path, ROOT, variables | building, {"pip install 'flowpack[fast]'": install}) as reader:
        assert reader.follow(ROOT / "README.md") == 4

    def run(*command: str) -> str:
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, env=variables)
        return done.stdout

    assert run("python", "-c", "import flowpack; print(flowpack.__file__)").startswith(str(environment))
    assert run("flowpack", "check", "--explain", "FP103").startswith("# FP103 dangling-reference\n")
    flow = tmp_path / "hello" / "flow.dag.yaml"
    flow.write_text(flow.read_text().replace("${inputs.name}", "${inputs.nmae}"))
    (finding,) = json.loads(run("flowpack", "check", "hello", "--json"))["findings"]
    assert re.fullmatch(r"https://\S+/reference/rules/FP103/", finding["url"])


def _without_this_environment(path: str) -> str:
    own = {Path(sys.prefix) / "bin", Path(sys.executable).parent}
    return os.pathsep.join(each for each in path.split(os.pathsep) if Path(each) not in own)
