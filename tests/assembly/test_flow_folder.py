"""The standalone folder holds the flow and its includes, each where promptflow puts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from flowpack.assembly.flow_folder import FlowFolder, assemble, write_flow_folder
from flowpack.assembly.roots import IncludeRoots
from flowpack.errors import InputError
from flowpack.flows.reader import read_flow
from flowpack.reporting import SILENT
from tests.paths import FLOWS, ROOT, write_tree
from tests.recording import Recording


def assembled(folder: Path, *roots: Path, said: Recording | None = None, strict: bool = False) -> FlowFolder:
    flow = read_flow(folder)
    return assemble(flow, IncludeRoots.of(flow.folder, roots), SILENT if said is None else said, strict=strict)


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
    write_flow_folder(folder, tmp_path)
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
        write_flow_folder(assembled(project / "flow"), project / name)
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
    said = Recording()
    folder = assembled(project / "flow", said=said)
    assert folder.files["tool.py"].origin == project / "two" / "tool.py"
    assert len(said) == 2
    assert "one/tool.py" in said[1]
    assert "two/tool.py" in said[1]


def test_the_same_file_twice_is_no_conflict(project: Path) -> None:
    write_tree(project, {"shared/tool.py": "1"})
    write_tree(project / "flow", {"flow.dag.yaml": flow_including("../shared/tool.py", "../shared/tool.py")})
    said = Recording()
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


def test_ignored_files_stay_out(project: Path) -> None:
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
    write_flow_folder(folder, project / "out")
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


def test_a_stated_conda_file_must_be_there(project: Path) -> None:
    write_tree(project / "flow", {"flow.dag.yaml": "environment: {conda_file: conda.yaml}\nnodes: []\n"})
    with pytest.raises(InputError, match=r"environment\.conda_file: 'conda\.yaml'"):
        assembled(project / "flow")


def test_a_file_named_twice_by_two_paths_is_no_conflict(project: Path) -> None:
    write_tree(project, {"shared/tool.py": "1"})
    (project / "linked.py").symlink_to("shared/tool.py")
    write_tree(project / "flow", {"flow.dag.yaml": flow_including("../shared/tool.py", "../linked.py")})
    said = Recording()
    assembled(project / "flow", said=said, strict=True)
    assert said == []


def test_two_files_with_the_same_bytes_are_no_conflict(project: Path) -> None:
    write_tree(project, {"one/tool.py": "1", "two/tool.py": "1"})
    write_tree(project / "flow", {"flow.dag.yaml": flow_including("../one/tool.py", "../two/tool.py")})
    assembled(project / "flow", strict=True)


def test_two_different_files_are_refused_where_that_is_asked_for(project: Path) -> None:
    write_tree(project, {"one/tool.py": "1", "two/tool.py": "2"})
    write_tree(project / "flow", {"flow.dag.yaml": flow_including("../one/tool.py", "../two/tool.py")})
    with pytest.raises(InputError, match=r"two/tool\.py.*one/tool\.py") as caught:
        assembled(project / "flow", strict=True)
    assert caught.value.location is not None
    assert caught.value.location.line == 4


@pytest.mark.parametrize(("one", "other"), [("Notes.md", "notes.md"), ("caf\u00e9.md", "cafe\u0301.md")])
def test_two_names_that_are_one_elsewhere_are_a_conflict(project: Path, one: str, other: str) -> None:
    write_tree(project, {f"one/{one}": "1", f"two/{other}": "2"})
    if len(list(project.glob("*/*.md"))) != 2 or (project / "one" / other).exists():
        pytest.skip("this file system has one file for both names")
    write_tree(project / "flow", {"flow.dag.yaml": flow_including(f"../one/{one}", f"../two/{other}")})
    said = Recording()
    assert {one, other} <= set(assembled(project / "flow", said=said).files)
    assert len(said) == 1
    assert f"one/{one}' and" in said[0]
    assert f"two/{other}'" in said[0]
    with pytest.raises(InputError, match="the same file on Windows and macOS"):
        assembled(project / "flow", strict=True)


def test_an_include_does_not_replace_the_flow_file(project: Path) -> None:
    write_tree(project, {"other/flow.dag.yaml": "nodes: []\nname: other\n"})
    write_tree(project / "flow", {"flow.dag.yaml": flow_including("../other/flow.dag.yaml")})
    with pytest.raises(InputError, match="would replace the flow file itself"):
        assembled(project / "flow")


def test_the_includes_of_an_included_flow_are_not_followed_and_that_is_said(project: Path) -> None:
    write_tree(
        project, {"shared/tool.py": "", "rag/flow.dag.yaml": flow_including("../shared/tool.py"), "rag/a.py": ""}
    )
    write_tree(project / "flow", {"flow.dag.yaml": flow_including("../rag")})
    said = Recording()
    folder = assembled(project / "flow", said=said)
    assert list(folder.files) == ["flow.dag.yaml", "rag/a.py", "rag/flow.dag.yaml"]
    assert len(said) == 1
    assert "flow.dag.yaml:3:3: '../rag' includes a flow whose own additional_includes are not followed" in said[0]


def test_an_absolute_include_lands_under_its_name(project: Path) -> None:
    write_tree(project, {"shared/tool.py": "1"})
    write_tree(project / "flow", {"flow.dag.yaml": flow_including(str(project / "shared"))})
    assert "shared/tool.py" in assembled(project / "flow").files


def test_a_zip_keeps_the_execute_bit_and_forgets_times(project: Path) -> None:
    write_tree(project, {"shared/run.sh": "", "shared/a.txt": "a"})
    (project / "shared/run.sh").chmod(0o700)
    os.utime(project / "shared/a.txt", (1, 2_000_000_000))
    write_tree(project / "flow", {"flow.dag.yaml": flow_including("../shared.zip")})
    (project / "out").mkdir()
    write_flow_folder(assembled(project / "flow"), project / "out")
    with zipfile.ZipFile(project / "out" / "shared.zip") as archive:
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert modes == {"shared/": 0o40755, "shared/a.txt": 0o100644, "shared/run.sh": 0o100755}


def test_the_digest_of_a_zip_tells_its_members_apart(project: Path) -> None:
    """Two folders whose names and contents, put one after another, are the same bytes."""
    write_tree(project, {"one/shared/a": b"xb\0y", "two/shared/a": b"x", "two/shared/b": b"y"})
    digests = set()
    for name in ("one", "two"):
        write_tree(project / name / "flow", {"flow.dag.yaml": flow_including("../shared.zip")})
        digests.add(assembled(project / name / "flow").digest)
    assert len(digests) == 2


@pytest.mark.parametrize("kind", ["a named pipe", "a socket"])
@pytest.mark.parametrize("where", ["flow/sub/special", "special"])
def test_what_is_neither_file_nor_folder_is_refused(
    project: Path, kind: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(project, {"flow/flow.dag.yaml": flow_including("../special"), "flow/sub/a.txt": ""})
    (project / "special").mkdir() if where != "special" else None
    monkeypatch.chdir((project / where).parent)  # a socket's path must be short
    if kind == "a socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("special")
    else:
        os.mkfifo("special")
    with pytest.raises(InputError, match=f"it is {kind}"):
        assembled(project / "flow")


def test_links_in_a_circle_are_refused(project: Path) -> None:
    write_tree(project, {"flow/flow.dag.yaml": "nodes: []\n"})
    (project / "flow" / "one").symlink_to("two")
    (project / "flow" / "two").symlink_to("one")
    with pytest.raises(InputError, match="leads back to itself"):
        assembled(project / "flow")
    write_tree(project / "flow", {".flowpackignore": "one\ntwo\n"})
    assert list(assembled(project / "flow").files) == ["flow.dag.yaml"]


def test_folders_that_link_to_each_other_are_refused(project: Path) -> None:
    write_tree(project, {"flow/flow.dag.yaml": "nodes: []\n", "flow/one/a": "", "flow/two/b": ""})
    (project / "flow/one/other").symlink_to("../two")
    (project / "flow/two/other").symlink_to("../one")
    with pytest.raises(InputError, match="leads back to a folder that contains it"):
        assembled(project / "flow")


@pytest.mark.parametrize(("link", "words"), [("shared", "link to itself"), ("nowhere", "link to nothing")])
def test_an_include_that_is_a_broken_link_is_refused(project: Path, link: str, words: str) -> None:
    write_tree(project, {"flow/flow.dag.yaml": flow_including("../shared")})
    (project / "shared").symlink_to(link)
    with pytest.raises(InputError, match=words):
        assembled(project / "flow")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a:b.txt", "which Windows does not allow"),
        ("back\\slash", "which Windows does not allow"),
        ("aux.py", "reserves for a device"),
        ("nul", "reserves for a device"),
        ("sub/COM1.log/x", "reserves for a device"),
        ("dot.", "ends with a dot or a space"),
        ("sub /x", "ends with a dot or a space"),
    ],
)
def test_names_that_do_not_travel_are_warned_of(project: Path, name: str, words: str) -> None:
    write_tree(project / "flow", {"flow.dag.yaml": "nodes: []\n", name: ""})
    said = Recording()
    assert name in assembled(project / "flow", said=said).files
    assert len(said) == 1
    assert f"'{name}'" in said[0]
    assert words in said[0]


def test_many_such_names_are_one_warning(project: Path) -> None:
    write_tree(project / "flow", {"flow.dag.yaml": "nodes: []\n"} | {f"{number}:00.txt": "" for number in range(24)})
    said = Recording()
    assembled(project / "flow", said=said)
    assert len(said) == 1
    assert "'0:00.txt' (and 23 more) has one of" in said[0]


@pytest.mark.parametrize("name", ["auxiliary.py", "connection.py", "null", ".hidden", "a..b", "com10", "ä ö.txt"])
def test_names_that_travel_are_not(project: Path, name: str) -> None:
    write_tree(project / "flow", {"flow.dag.yaml": "nodes: []\n", name: ""})
    said = Recording()
    assembled(project / "flow", said=said)
    assert said == []


@pytest.mark.parametrize(("name", "words"), [(b"caf\xe9.txt", "is not UTF-8"), (b"a\nb", "has a control character")])
@pytest.mark.parametrize("zipped", ["", ".zip"])
def test_names_that_nothing_takes_are_refused(project: Path, name: bytes, words: str, zipped: str) -> None:
    write_tree(project, {"shared/a.txt": "", "flow/flow.dag.yaml": flow_including(f"../shared{zipped}")})
    try:
        Path(os.fsdecode(os.fsencode(project / "shared") + b"/" + name)).touch()
    except OSError:
        pytest.skip("this file system refuses the name itself")
    with pytest.raises(InputError, match=words) as caught:
        assembled(project / "flow")
    str(caught.value).encode()


def test_a_path_that_no_upload_takes_is_refused(project: Path) -> None:
    write_tree(project / "flow", {"flow.dag.yaml": "nodes: []\n", "/".join(["d" * 200] * 5): ""})
    with pytest.raises(InputError, match="is longer than 900 characters"):
        assembled(project / "flow")


_AS_SOMEONE_ELSE = """
import os, sys
from pathlib import Path
from flowpack.assembly.flow_folder import assemble
from flowpack.assembly.roots import IncludeRoots
from flowpack.errors import InputError
from flowpack.flows.reader import read_flow

flow = read_flow(Path(sys.argv[1]))
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    assemble(flow, IncludeRoots.of(flow.folder)).digest
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("forbidden", "mode", "message"),
    [
        ("flow/sub/a.txt", 0o000, "flow/sub/a.txt: cannot be read: Permission denied"),
        ("flow/sub", 0o000, "flow/sub: cannot be read: Permission denied"),
        ("flow/sub", 0o444, "flow/sub/a.txt: cannot be read: Permission denied"),
        ("flow/.gitignore", 0o000, "flow/.gitignore: cannot be read: Permission denied"),
        ("shared", 0o000, "'../shared/b.txt' cannot be read: Permission denied"),
    ],
)
def test_what_may_not_be_read_is_named(forbidden: str, mode: int, message: str) -> None:
    with tempfile.TemporaryDirectory() as name:  # where another user may look, unlike in pytest's own folders
        project = Path(name).resolve()
        project.chmod(0o755)
        files = {"flow/sub/a.txt": "", "flow/.gitignore": "", ".git/HEAD": "", "shared/b.txt": ""}
        write_tree(project, {**files, "flow/flow.dag.yaml": flow_including("../shared/b.txt")})
        (project / forbidden).chmod(mode)
        program = project / "program.py"
        program.write_text(_AS_SOMEONE_ELSE)
        done = subprocess.run(
            [sys.executable, program, project / "flow"],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        (project / forbidden).chmod(0o755)
    assert message in done.stdout.replace(f"{name}/", ""), done.stdout + done.stderr


def test_a_flow_file_of_another_name_gets_the_one_that_the_server_looks_for(project: Path) -> None:
    write_tree(project / "flow", {"flow.dag.yaml": "nodes: []\n", "dev.yaml": "nodes: []\ndescription: dev\n"})
    flow = read_flow(project / "flow" / "dev.yaml")
    said = Recording()
    folder = assemble(flow, IncludeRoots.of(flow.folder), said)
    assert list(folder.files) == ["flow.dag.yaml"]
    write_flow_folder(folder, project)
    assert "dev" in (project / "flow.dag.yaml").read_text()
    assert len(said) == 1
