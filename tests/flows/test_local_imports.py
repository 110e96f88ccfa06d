"""An import that the standalone folder would miss is named with its place and what brings it; the code does not run."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from flowpack.flows.local_imports import find_missing_imports
from flowpack.flows.reader import read_flow
from tests.paths import FLOWS, write_tree

FLOW = "nodes:\n- name: n\n  type: python\n  source: {type: code, path: t.py}\n"
SHARED = {
    "shared/__init__.py": "",
    "shared/ranking.py": "",
    "lone.py": "",
    "bare/deep/thing.py": "",
    "src/inner.py": "",
}


@pytest.fixture(autouse=True)
def in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is shown as one would write it from the working directory."""
    monkeypatch.chdir(tmp_path)


def missing(project: Path, source: str, *, left_out: Collection[str] = (), required: Collection[str] = ()) -> list[str]:
    """What is said of a flow at ``flows/chat`` whose tool has this source."""
    write_tree(project, {"flows/chat/flow.dag.yaml": FLOW, "flows/chat/t.py": source, **SHARED})
    folder = project / "flows" / "chat"
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    kept = {target: path for target, path in files.items() if target not in left_out}
    found = find_missing_imports(read_flow(folder), kept, project, lambda: required)
    return [str(each) for each in found]


@pytest.mark.parametrize(
    ("source", "module", "include"),
    [
        ("import lone", "lone", "../../lone.py"),
        ("import lone as one", "lone", "../../lone.py"),
        ("from shared import ranking", "shared", "../../shared"),
        ("from shared.ranking import best", "shared.ranking", "../../shared"),
        ("import shared.ranking as r", "shared.ranking", "../../shared"),
        ("from bare.deep import thing", "bare.deep", "../../bare"),
        ("from bare.deep.thing import x", "bare.deep.thing", "../../bare"),
        ("import inner", "inner", "../../src/inner.py"),
        ("def f():\n    from lone import x", "lone", "../../lone.py"),
        ("import os, lone", "lone", "../../lone.py"),
    ],
)
def test_a_module_beside_the_flow(tmp_path: Path, source: str, module: str, include: str) -> None:
    (said,) = missing(tmp_path, source)
    line = len(source.splitlines())
    column = 5 if line > 1 else 1
    assert said == (
        f"flows/chat/t.py:{line}:{column}: the standalone folder lacks the module '{module}': "
        f"add to additional_includes: - {include}"
    )


@pytest.mark.parametrize(
    "source",
    [
        "import json, yaml, promptflow.core, unheard_of",
        "try:\n    import lone\nexcept ImportError:\n    lone = None",
        "try:\n    import lone\nexcept (KeyError, ModuleNotFoundError):\n    lone = None",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import lone",
        "if __name__ == '__main__':\n    import lone",
        "import bare",
        "from bare.other import x",
        "from . import lone",
        "text = '''\nimport lone\n'''",
        "import lone =",
    ],
)
def test_what_is_no_missing_module(tmp_path: Path, source: str) -> None:
    assert missing(tmp_path, source) == []


def test_a_requirement_of_the_same_name_brings_it(tmp_path: Path) -> None:
    assert missing(tmp_path, "import lone", required={"lone"}) == []


def test_each_include_is_named_once(tmp_path: Path) -> None:
    assert len(missing(tmp_path, "import shared\nfrom shared import ranking\nimport shared.ranking")) == 1


def test_what_is_imported_is_followed_and_what_is_not_is_not_read(tmp_path: Path) -> None:
    write_tree(
        tmp_path / "flows" / "chat",
        {
            "pkg/__init__.py": "from .a import x",
            "pkg/a.py": "from . import b",
            "pkg/b.py": "import lone",
            "x.py": "import inner",
        },
    )
    (said,) = missing(tmp_path, "import pkg")
    assert said.startswith("flows/chat/pkg/b.py:1:1: ")


def test_modules_that_an_ignore_rule_leaves_out(tmp_path: Path) -> None:
    write_tree(tmp_path / "flows" / "chat", {"own.py": "", "pkg/__init__.py": "", "pkg/secret.py": ""})
    said = missing(tmp_path, "import own\nfrom pkg import secret, VERSION", left_out={"own.py", "pkg/secret.py"})
    assert said == [
        "flows/chat/t.py:1:1: the standalone folder lacks the module 'own': "
        "an ignore rule leaves out 'flows/chat/own.py'",
        "flows/chat/t.py:2:1: the standalone folder lacks the module 'pkg.secret': "
        "an ignore rule leaves out 'flows/chat/pkg/secret.py'",
    ]


@pytest.mark.parametrize(
    "expression",
    [
        "'../../libs'",
        "os.path.join(os.path.dirname(__file__), '..', '..', 'libs')",
        "os.path.abspath(os.path.dirname(os.path.dirname(os.path.dirname(__file__))) + '/libs')",
        "str(Path(__file__).resolve().parent.parent.parent / 'libs')",
        "str(Path(__file__).parents[2].joinpath('libs'))",
        "LIBS",
    ],
)
def test_a_folder_that_the_source_adds_to_sys_path(tmp_path: Path, expression: str) -> None:
    write_tree(tmp_path, {"libs/far.py": ""})
    source = (
        f"import os, sys\nfrom pathlib import Path\nLIBS = '../../libs'\nsys.path.insert(0, {expression})\nimport far\n"
    )
    (said,) = missing(tmp_path, source)
    assert said.endswith("additional_includes: - ../../libs/far.py (flows/chat/t.py:4 adds its folder to sys.path)")


def test_a_folder_of_the_flow_on_sys_path_is_looked_into(tmp_path: Path) -> None:
    write_tree(tmp_path / "flows" / "chat", {"tools/near.py": "import lone"})
    source = "import os, sys\nsys.path.append(os.path.join(os.path.dirname(__file__), 'tools'))\nimport near\n"
    (said,) = missing(tmp_path, source)
    assert said.startswith("flows/chat/tools/near.py:1:1: the standalone folder lacks the module 'lone'")


def test_a_flex_flow_whose_sources_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    text = "entry: main:ask\ncode: app\n"
    sources = {"app/main.py": "import near\ndef ask(a: str): ...\n", "app/near.py": "import lone\n"}
    folder = write_tree(tmp_path, {"flow/flow.flex.yaml": text, "lone.py": ""}) / "flow"
    write_tree(folder, sources)
    (found,) = find_missing_imports(read_flow(folder), {name: folder / name for name in sources}, tmp_path, frozenset)
    assert (found.location.path, found.module) == (folder / "app" / "near.py", "lone")


def test_a_package_that_holds_the_flow_is_no_include(tmp_path: Path) -> None:
    write_tree(tmp_path, {"flows/common.py": "", "flows/__init__.py": ""})
    (said,) = missing(tmp_path, "from flows.common import x")
    assert said.endswith("which contains the flow itself; move the code to another folder")


def test_the_fixtures_lack_nothing() -> None:
    for folder in FLOWS.iterdir():
        flow = read_flow(folder)
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        for include in flow.additional_includes:
            path = (folder / include.path).resolve()
            below = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
            files |= {each.relative_to(path.parent).as_posix(): each for each in below}
        assert list(find_missing_imports(flow, files, FLOWS.parent, frozenset)) == []
