"""The policy of ignore files, what a summary counts, and why a path is in or out."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.assembly.explain import explain
from flowpack.assembly.flow_folder import FlowFolder, assemble
from flowpack.assembly.roots import IncludeRoots
from flowpack.errors import InputError
from flowpack.flows.reader import read_flow
from tests.paths import write_tree

FLOW = "nodes: []\nadditional_includes:\n- ../shared\n- ../secrets/.env\n- ../archive.zip\n- notes/read.md\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    files = {
        "flow/flow.dag.yaml": FLOW,
        "flow/.flowpackignore": "*.log\n!keep.log\n/data/\nnotes/\n",
        "flow/.gitignore": "tool.py\n",
        "flow/tool.py": "",
        "flow/a.log": "12345",
        "flow/sub/b.log": "1234567",
        "flow/keep.log": "",
        "flow/data/big.bin": "x" * 1000,
        "flow/data/deep/more.bin": "x" * 500,
        "flow/notes/read.md": "",
        "flow/.venv/lib/x.py": "12",
        "flow/sub/.git/HEAD": "",
        "flow/requirements.lock": "",
        "flow/sub/.gitignore": "*\n",
        "shared/.gitignore": "*.tmp\n",
        "shared/x.tmp": "123",
        "shared/x.log": "",
        "shared/search.py": "",
        "secrets/.env": "KEY=1",
        "archive/one.txt": "",
        "archive/__pycache__/one.pyc": "1",
        "elsewhere.txt": "",
    }
    (tmp_path / ".git").mkdir()
    return write_tree(tmp_path, files)


def assembled(flow: Path) -> FlowFolder:
    read = read_flow(flow)
    return assemble(read, IncludeRoots.of(read.folder))


def files_of(flow: Path) -> list[str]:
    return list(assembled(flow).files)


def test_each_rule_with_its_files_and_bytes(project: Path) -> None:
    counts = {str(count.rule): (count.files, count.size) for count in assembled(project / "flow").left_out.counts()}
    assert {rule: counts[rule] for rule in counts if "ignore file" not in rule} == {
        "flow/.flowpackignore:1: *.log": (2, 12),
        "flow/.flowpackignore:3: /data/": (2, 1500),
        "flow/.flowpackignore:4: notes/": (1, 0),
        "shared/.gitignore:1: *.tmp": (1, 3),
        "always out: virtual environment": (1, 2),
        "always out: version control": (1, 0),
        "always out: cache": (1, 1),
    }
    assert counts["always out: ignore file"][0] == 4


def test_the_most_bytes_come_first(project: Path) -> None:
    sizes = [count.size for count in assembled(project / "flow").left_out.counts()]
    assert sizes == sorted(sizes, reverse=True)


def test_a_huge_folder_is_counted_in_part(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowpack.assembly.left_out._COUNTED_AT_MOST", 1)
    counts = {str(count.rule): count for count in assembled(project / "flow").left_out.counts()}
    assert sum(not count.whole for count in counts.values()) >= 1
    assert counts["flow/.flowpackignore:1: *.log"].whole


def test_a_named_file_that_a_rule_is_against_is_noted(project: Path) -> None:
    kept = {
        each.target: (str(each.rule), each.include.location.line) for each in assembled(project / "flow").left_out.kept
    }
    assert kept == {
        ".env": ("always out: .env*", 4),
        "read.md": ("flow/.flowpackignore:4: notes/", 6),
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tool.py", "in, at tool.py: a file in the flow's folder that no rule leaves out"),
        ("flow/tool.py", "in, at tool.py: a file in the flow's folder that no rule leaves out"),
        ("keep.log", "in, at keep.log: flow/.flowpackignore:2: !keep.log"),
        ("a.log", "out: flow/.flowpackignore:1: *.log"),
        ("./sub/../a.log", "out: flow/.flowpackignore:1: *.log"),
        ("flow/data/deep/more.bin", "out: flow/.flowpackignore:3: /data/"),
        ("data", "out: flow/.flowpackignore:3: /data/"),
        (".venv/lib/x.py", "out: always out: virtual environment"),
        ("shared/search.py", "in, at shared/search.py: from 'shared/search.py', which flow/flow.dag.yaml:3:3 includes"),
        ("../shared/x.tmp", "out: shared/.gitignore:1: *.tmp"),
        ("shared", "in, at shared: a folder with 2 files"),
        ("../secrets/.env", "in, at .env: from 'secrets/.env', which flow/flow.dag.yaml:4:3 includes, although a "
         "rule leaves it out (always out: .env*)"),
        ("archive/one.txt", "in, at archive.zip: in the archive that flow/flow.dag.yaml:5:3 includes"),
        ("archive/__pycache__/one.pyc", "out: always out: cache"),
        ("requirements.lock", "out: it is the lock, which the build context holds next to the flow"),
        ("elsewhere.txt", "out: it is not in the flow's folder, and no include names it"),
        ("flow.dag.yaml", "in, at flow.dag.yaml: a file in the flow's folder that no rule leaves out"),
    ],
)  # fmt: skip
def test_why_a_path_is_in_or_out(project: Path, path: str, expected: str) -> None:
    flow = read_flow(project / "flow")
    assert str(explain(flow, IncludeRoots.of(flow.folder), path)) == expected


def test_a_path_that_another_replaces(project: Path) -> None:
    write_tree(
        project,
        {
            "flow/search.py": "1",
            "flow/flow.dag.yaml": "additional_includes: [../shared/search.py]\nnodes: []\n",
            "shared/search.py": "2",
        },
    )
    flow = read_flow(project / "flow")
    found = explain(flow, IncludeRoots.of(flow.folder), "flow/search.py")
    assert str(found) == "out: 'shared/search.py' replaces it at 'search.py'"


def test_a_path_that_is_nowhere(project: Path) -> None:
    flow = read_flow(project / "flow")
    with pytest.raises(InputError, match="neither in the standalone folder nor on disk") as caught:
        explain(flow, IncludeRoots.of(flow.folder), "tol.py")
    assert caught.value.hint == "did you mean 'tool.py'?"


@pytest.mark.parametrize(
    "name", [".git", ".hg", ".svn", "__pycache__", ".venv", ".env", ".envrc", ".env.local", ".runs", ".promptflow"]
)
def test_what_is_always_out(tmp_path: Path, name: str) -> None:
    flow = write_tree(
        tmp_path / "flow", {"flow.dag.yaml": "nodes: []\n", ".flowpackignore": f"!{name}\n", f"{name}/x": ""}
    )
    assert files_of(flow) == ["flow.dag.yaml"]


@pytest.mark.parametrize("mark", ["pyvenv.cfg", "conda-meta/history"])
def test_an_environment_is_known_by_what_is_in_it(tmp_path: Path, mark: str) -> None:
    flow = write_tree(tmp_path / "flow", {"flow.dag.yaml": "nodes: []\n", f"mine/{mark}": "", "mine/x.py": ""})
    assert files_of(flow) == ["flow.dag.yaml"]


def test_only_the_ignore_file_of_the_root_counts(tmp_path: Path) -> None:
    files = {"flow.dag.yaml": "nodes: []\n", "data/.gitignore": "*\n", "data/x": "", "data/.flowpackignore": "*\n"}
    (tmp_path / ".gitignore").write_text("*\n")
    assert files_of(write_tree(tmp_path / "flow", files)) == ["data/x", "flow.dag.yaml"]


def test_a_link_to_a_folder_counts_as_the_folder_that_it_becomes(tmp_path: Path) -> None:
    write_tree(
        tmp_path, {"flow/flow.dag.yaml": "nodes: []\n", "flow/.gitignore": "linked/\n", "data/x": "", ".git/x": ""}
    )
    (tmp_path / "flow" / "linked").symlink_to("../data")
    assert files_of(tmp_path / "flow") == ["flow.dag.yaml"]
