"""The standalone folder holds the flow and its includes, each where promptflow puts it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from flowpack.assembly.flow_folder import FlowFolder, assemble
from flowpack.assembly.roots import IncludeRoots
from flowpack.errors import InputError
from flowpack.flows.reader import read_flow
from tests.paths import FLOWS, write_tree


def assembled(folder: Path, *roots: Path, said: list[str] | None = None) -> FlowFolder:
    flow = read_flow(folder)
    return assemble(flow, IncludeRoots.of(flow.folder, roots), (said if said is not None else []).append)


def flow_including(*includes: str) -> str:
    return "nodes: []\nadditional_includes:\n" + "".join(f"- {each}\n" for each in includes)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    return tmp_path


def test_files_and_folders_land_where_promptflow_puts_them(tmp_path: Path) -> None:
    folder = assembled(FLOWS / "chat-with-includes")
    assert list(folder.files) == [
        "find.py",
        "flow.dag.yaml",
        "knowledge/borrowing.md",
        "knowledge/membership.md",
        "knowledge/opening-hours.md",
        "reply.jinja2",
        "reply.py",
        "requirements.txt",
        "search/ranking.py",
    ]
    folder.write(tmp_path)
    shared = FLOWS.parent / "shared"
    assert (tmp_path / "search/ranking.py").read_bytes() == (shared / "search/ranking.py").read_bytes()
    assert "additional_includes" not in (tmp_path / "flow.dag.yaml").read_text()


def test_the_digest_is_of_the_content_and_of_nothing_else(project: Path) -> None:
    for name in ("a", "b"):
        write_tree(project / name, {"flow.dag.yaml": "nodes: []\n", "data/x.txt": "x"})
    one, two = assembled(project / "a").digest, assembled(project / "b").digest
    assert one == two
    write_tree(project / "b", {"data/x.txt": "y"})
    assert assembled(project / "b").digest != one
    write_tree(project / "b", {"data/x.txt": "x"})
    (project / "b" / "data" / "x.txt").chmod(0o755)
    assert assembled(project / "b").digest != one


def test_a_missing_zip_is_made_of_its_folder_the_same_each_time(project: Path) -> None:
    write_tree(project, {"shared/deep/er/b.txt": "b", "shared/a.txt": "a"})
    write_tree(project / "flow", {"flow.dag.yaml": flow_including("../shared.zip")})
    written = []
    for name in ("one", "two"):
        (project / name).mkdir()
        assembled(project / "flow").write(project / name)
        written.append((project / name / "shared.zip").read_bytes())
    assert written[0] == written[1]
    with zipfile.ZipFile(project / "one" / "shared.zip") as archive:
        assert archive.namelist() == ["shared/", "shared/a.txt", "shared/deep/er/b.txt"]
        assert archive.read("shared/deep/er/b.txt") == b"b"


def test_a_zip_that_exists_is_taken_as_it_is(project: Path) -> None:
    write_tree(project, {"shared/a.txt": "a", "shared.zip": b"PK"})
    write_tree(project / "flow", {"flow.dag.yaml": flow_including("../shared.zip")})
    assert assembled(project / "flow").files["shared.zip"].origin == project / "shared.zip"


def test_the_last_of_two_sources_wins_and_both_are_named(project: Path) -> None:
    write_tree(project, {"one/tool.py": "1", "two/tool.py": "2", "flow/tool.py": "0"})
    write_tree(project / "flow", {"flow.dag.yaml": flow_including("../one/tool.py", "../two/tool.py")})
    said: list[str] = []
    folder = assembled(project / "flow", said=said)
    assert folder.files["tool.py"].origin == project / "two" / "tool.py"
    assert len(said) == 2
    assert "one/tool.py" in said[1]
    assert "two/tool.py" in said[1]


def test_the_same_file_twice_is_no_conflict(project: Path) -> None:
    write_tree(project, {"shared/tool.py": "1"})
    write_tree(project / "flow", {"flow.dag.yaml": flow_including("../shared/tool.py", "../shared/tool.py")})
    said: list[str] = []
    assembled(project / "flow", said=said)
    assert said == []


def test_a_file_does_not_take_a_folders_place(project: Path) -> None:
    write_tree(project, {"one/data/x.txt": "1", "two/data": "2"})
    write_tree(project / "flow", {"flow.dag.yaml": flow_including("../one/data", "../two/data")})
    with pytest.raises(InputError, match="'data'") as caught:
        assembled(project / "flow")
    assert caught.value.location is not None
    assert caught.value.location.line == 4


@pytest.mark.parametrize(
    ("include", "message", "hint"),
    [
        ("../shard", "'../shard' does not exist", "did you mean '../shared'?"),
        ("../nowhere/at/all", "'../nowhere/at/all' does not exist", "paths are relative to the flow file"),
        ("..", "'..' contains the flow itself", None),
        (".", "'.' contains the flow itself", None),
    ],
)
def test_a_wrong_include_says_where(project: Path, include: str, message: str, hint: str | None) -> None:
    write_tree(project, {"shared/a.txt": "a"})
    write_tree(project / "flow", {"flow.dag.yaml": flow_including("../shared", include)})
    with pytest.raises(InputError) as caught:
        assembled(project / "flow")
    assert caught.value.message == message
    assert caught.value.location is not None
    assert (caught.value.location.line, caught.value.location.column) == (4, 3)
    if hint:
        assert caught.value.hint == hint


def test_an_include_outside_the_project_needs_a_root(tmp_path: Path) -> None:
    write_tree(tmp_path, {"project/.git/HEAD": "", "outside/a.txt": "a"})
    write_tree(tmp_path / "project" / "flow", {"flow.dag.yaml": flow_including("../../outside")})
    with pytest.raises(InputError, match="outside the project root") as caught:
        assembled(tmp_path / "project" / "flow")
    assert caught.value.hint == f"allow it with --include-root {tmp_path / 'outside'}"
    assert "outside/a.txt" in assembled(tmp_path / "project" / "flow", tmp_path / "outside").files


def test_ignored_files_stay_out_and_are_counted(project: Path) -> None:
    files = {
        "flow.dag.yaml": "nodes: []\n",
        ".gitignore": "*.log\n/data/*\n!/data/keep.txt\n",
        "a.log": "",
        "data/big.bin": "",
        "data/keep.txt": "",
        ".env": "KEY=secret",
        ".venv/pyvenv.cfg": "",
        "env/pyvenv.cfg": "",
        "__pycache__/x.pyc": "",
        ".promptflow/flow.tools.json": "{}",
        ".runs/1/out": "",
    }
    folder = assembled(write_tree(project / "flow", files))
    assert list(folder.files) == ["data/keep.txt", "flow.dag.yaml"]
    assert folder.left_out == {".gitignore": 2, "always left out": 7}


def test_a_file_that_an_include_names_is_never_ignored(project: Path) -> None:
    write_tree(project, {"shared/.env": "A=1", "shared/.gitignore": "*", "shared/kept.txt": "x"})
    write_tree(project / "flow", {"flow.dag.yaml": flow_including("../shared/.env", "../shared/kept.txt")})
    assert {".env", "kept.txt"} <= set(assembled(project / "flow").files)


def test_flowpackignore_comes_before_the_others(project: Path) -> None:
    files = {
        "flow.dag.yaml": "nodes: []\n",
        ".gitignore": "a.txt\n",
        ".flowpackignore": "b.txt\n",
        "a.txt": "",
        "b.txt": "",
    }
    assert list(assembled(write_tree(project / "flow", files)).files) == ["a.txt", "flow.dag.yaml"]


def test_links_are_followed_within_the_project(project: Path) -> None:
    write_tree(project, {"shared/a.txt": "a", "flow/flow.dag.yaml": "nodes: []\n"})
    (project / "flow" / "linked").symlink_to("../shared")
    (project / "flow" / "b.txt").symlink_to("../shared/a.txt")
    folder = assembled(project / "flow")
    assert list(folder.files) == ["b.txt", "flow.dag.yaml", "linked/a.txt"]
    (project / "out").mkdir()
    folder.write(project / "out")
    assert not (project / "out" / "b.txt").is_symlink()


@pytest.mark.parametrize(
    ("target", "words"),
    [("nowhere", "does not exist"), ("..", "leads back"), ("/usr", "leads out of the project")],
)
def test_links_that_cannot_be_followed_are_errors(project: Path, target: str, words: str) -> None:
    write_tree(project, {"flow/flow.dag.yaml": "nodes: []\n", "flow/sub/a.txt": ""})
    (project / "flow" / "sub" / "link").symlink_to(target)
    with pytest.raises(InputError, match=words):
        assembled(project / "flow")


def test_a_nodes_source_must_be_in_the_folder(project: Path) -> None:
    flow = "nodes:\n- name: a\n  type: python\n  source:\n    type: code\n    path: tol.py\n"
    write_tree(project / "flow", {"flow.dag.yaml": flow, "lib/tol.py": ""})
    with pytest.raises(InputError) as caught:
        assembled(project / "flow")
    assert str(caught.value).endswith(
        "flow.dag.yaml:6:11: node 'a': the source 'tol.py' is not in the standalone folder\n"
        "hint: did you mean 'lib/tol.py'?"
    )


def test_a_stated_requirements_file_must_be_there(project: Path) -> None:
    write_tree(project / "flow", {"flow.dag.yaml": "environment: {python_requirements_txt: req.txt}\nnodes: []\n"})
    with pytest.raises(InputError, match=r"environment\.python_requirements_txt: 'req\.txt'"):
        assembled(project / "flow")
