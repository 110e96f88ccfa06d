"""What a stranger's files may not do: be read outside the project, never end, change meanwhile, bring a repository."""

from __future__ import annotations

import ast
import errno
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flowpack.assembly import files as copied
from flowpack.assembly.explain import explain
from flowpack.assembly.files import CopiedFile, digest_of
from flowpack.assembly.flow_folder import FlowFolder, assemble, write_flow_folder
from flowpack.assembly.roots import IncludeRoots
from flowpack.assembly.sources import file_at
from flowpack.assembly.staging import staged
from flowpack.checks.run import check
from flowpack.errors import FlowpackError, InputError, OutsideError
from flowpack.flows.reader import read_flow
from flowpack.reading import project_root
from tests.commands import flowpack
from tests.paths import ROOT, write_tree

SECRET = "a-secret-of-the-machine"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_tree(
        tmp_path.resolve() / "project",
        {".git/config": "url = https://user:password@host\n", ".git/HEAD": "", "flow/flow.dag.yaml": "nodes: []\n"},
    )


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file of the machine that the project may not see."""
    path = tmp_path.resolve() / "machine" / "file"
    path.parent.mkdir()
    path.write_text(f"{SECRET}: [\n")
    return path


def assembled(flow: Path) -> FlowFolder:
    read = read_flow(flow)
    return assemble(read, IncludeRoots.of(read.folder))


def printed(arguments: list[str], folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "flowpack", *arguments],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr


# Reading outside the project


@pytest.mark.attack("H3")
@pytest.mark.parametrize("name", ["flow.dag.yaml", "flow.flex.yaml", "ask.prompty"])
def test_a_flow_file_that_leads_out_of_the_project_is_not_read(project: Path, outside: Path, name: str) -> None:
    (project / "flow" / "flow.dag.yaml").unlink()
    (project / "flow" / name).symlink_to(outside)
    with pytest.raises(InputError, match="leads out of the project") as caught:
        read_flow(project / "flow" / name)
    assert caught.value.location is not None
    assert caught.value.location.path == project / "flow" / name
    assert SECRET not in str(caught.value)


@pytest.mark.attack("H3")
@pytest.mark.parametrize("how", [["check", "."], ["check", "flow/flow.dag.yaml"], ["build", "flow", "--dry-run"]])
def test_nothing_of_a_file_outside_of_the_project_is_printed(project: Path, how: list[str]) -> None:
    (project / "flow" / "flow.dag.yaml").unlink()
    (project / "flow" / "flow.dag.yaml").symlink_to("/proc/self/environ")
    text = printed(how, project)
    assert "leads out of the project" in text
    assert "PATH=" not in text


@pytest.mark.attack("H3")
@pytest.mark.parametrize(
    "files",
    [
        {"flow.flex.yaml": "entry: a:b\nsample: ${file:link.json}\n", "a.py": "def b(x: str) -> str: ...\n"},
        {"flow.flex.yaml": "entry: link:b\n"},
        {"flow.flex.yaml": "entry: a:b\nadditional_includes:\n- OUTSIDE/a.py\n"},
        {"ask.prompty": "---\nmodel: ${file:link.yaml}\nsample: link.json\n---\nq\n"},
        {"flow.dag.yaml": "nodes: []\nadditional_includes:\n- OUTSIDE\n"},
        {"flow.dag.yaml": "nodes: []\nadditional_includes:\n- OUTSIDE/nothing\n"},
    ],
)
def test_what_a_flow_names_outside_of_the_project_is_not_opened(
    project: Path, outside: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (outside.parent / "a.py").write_text(f"def b(x: str) -> str: return '{SECRET}'\n")
    (project / "flow" / "flow.dag.yaml").unlink()
    write_tree(project / "flow", {name: text.replace("OUTSIDE", str(outside.parent)) for name, text in files.items()})
    for name in ("link.json", "link.yaml", "link.py"):
        (project / "flow" / name).symlink_to(outside)
    read: list[str] = []
    whole = os.read

    def noted(descriptor: int, count: int) -> bytes:
        read.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        return whole(descriptor, count)

    if sys.platform == "linux":
        monkeypatch.setattr(os, "read", noted)
    with pytest.raises(InputError) as caught:
        assembled(project / "flow")
    assert SECRET not in str(caught.value)
    assert not [path for path in read if path.startswith(str(outside.parent))]


@pytest.mark.attack("H3")
def test_a_hint_names_no_file_of_a_folder_outside_of_the_project(project: Path, outside: Path) -> None:
    text = f"nodes: []\nadditional_includes:\n- {outside.parent}/fil\n"
    write_tree(project / "flow", {"flow.dag.yaml": text})
    with pytest.raises(InputError, match="outside the project root") as caught:
        assembled(project / "flow")
    assert "'file'" not in str(caught.value)
    assert "did you mean" not in str(caught.value)


@pytest.mark.attack("H3")
def test_a_deployment_document_does_not_lead_the_check_out_of_the_project(project: Path, outside: Path) -> None:
    schema = "https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json"
    (project / "flow" / "link").symlink_to(outside.parent)
    for path in (str(outside.parent), "../../machine", "link"):
        text = f"$schema: {schema}\nname: a\nendpoint_name: e\nenvironment:\n  build:\n    path: {path}\n"
        write_tree(project / "flow", {"deployment.yaml": text})
        found = check([str(project)], use_cache=False).findings
        (problem,) = [each for each in found if each.rule.code == "FP530"]
        assert "leads out of the project" in problem.message


@pytest.mark.attack("H3")
def test_a_planted_git_folder_makes_the_project_smaller_and_never_larger(project: Path) -> None:
    assert project_root(project / "flow") == project
    (project / "flow" / ".git").write_text("gitdir: /etc")
    assert project_root(project / "flow") == project / "flow"


@pytest.mark.attack("held: links out, .. and other places are refused")
@pytest.mark.parametrize("include", ["/etc/passwd", "../../../../../../etc/passwd", "out/passwd", "../../machine/file"])
def test_an_include_out_of_the_project_is_refused(project: Path, outside: Path, include: str) -> None:
    (project / "flow" / "out").symlink_to("/etc")
    write_tree(project / "flow", {"flow.dag.yaml": f"nodes: []\nadditional_includes:\n- {include}\n"})
    with pytest.raises(InputError, match="outside the project root"):
        assembled(project / "flow")


@pytest.mark.attack("held: links out, .. and other places are refused")
def test_a_link_out_of_the_project_is_refused(project: Path, outside: Path) -> None:
    (project / "flow" / "data").symlink_to(outside)
    with pytest.raises(InputError, match="leads out of the project"):
        assembled(project / "flow")


# The one reader

_READS = {"read_text", "read_bytes", "open", "fdopen"}
_OWN_WAYS = {
    "reading.py": "it is the reader",
    "assembly/files.py": "opens what was listed, with the same rules",
    "assembly/records.py": "opens the folder that is replaced, and its own cache",
    "azureml/models/local_registry.py": "locks and syncs its own files",
    "checks/pages.py": "flowpack's own pages",
    "checks/remembered.py": "its own cache, and digests of at most 1 MB of files that nobody is shown",
    "caches.py": "its own cache",
    "cli/failures.py": "the log that it writes itself",
    "cli/main.py": "opens the null device",
    "cli/serving_options.py": "a file that the user names",
    "dependencies/fetch_source.py": "a program of its own: the folder that it is given",
    "dependencies/index_configuration.py": "pip's configuration, which is the owner's",
    "dependencies/list_modules.py": "a program of its own: archives that the index gives",
    "dependencies/plain_wheels.py": "an archive with a known hash",
    "dependencies/resolvers.py": "the resolver's answer in a folder of its own",
    "git.py": "reads with the reader, and copies what that has opened",
    "images/build_stage/download_packages.py": "runs in the image",
    "images/build_stage/fetch_by_hash.py": "runs in the image",
    "images/build_stage/install_packages.py": "runs in the image",
    "images/context.py": "flowpack's own sources",
    "images/engine/containers.py": "writes what it copies out of a container",
    "images/engine/docker_engine.py": "the engine's answer in a folder of its own",
    "images/sbom.py": "its own cache and flowpack's own sources",
    "kept_environments.py": "environments that it made itself",
    "pipeline/source_builds.py": "wheels, by their hash",
    "temporary.py": "opens folders to lock them",
    "writing.py": "writes",
    "running/processes.py": "the log that it writes itself",
    "running/scoring.py": "opens a URL",
    "running/health.py": "opens a URL",
    "running/environments.py": "flowpack's own sources",
}
_IN_THE_IMAGE = "serving/"


@pytest.mark.attack("H3")
@pytest.mark.parametrize("name", ["requirements.lock", "requirements.txt", "more.txt", "environment.yml"])
def test_a_lock_or_requirements_that_lead_out_of_the_project_show_nothing(
    name: str, project: Path, outside: Path, tmp_path: Path
) -> None:
    outside.write_text("hunter2==hunter2\n- hunter2\n")
    flow = "nodes: []\n" + ("environment:\n  conda_file: environment.yml\n" if name.endswith("yml") else "")
    write_tree(project / "flow", {"flow.dag.yaml": flow, "requirements.txt": "-r more.txt\n", "more.txt": ""})
    (project / "flow" / name).unlink(missing_ok=True)
    (project / "flow" / name).symlink_to(outside)
    for command in (["check", "flow"], ["build", "flow", "--dry-run"], ["lock", "flow", "--check"]):
        done = flowpack(*command, cwd=project, env={"FLOWPACK_CACHE_DIR": str(tmp_path / "cache")}, expect=1)
        assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.attack("H3")
def test_files_are_read_by_the_one_reader_alone() -> None:
    found = set()
    for path in (ROOT / "flowpack").rglob("*.py"):
        name = path.relative_to(ROOT / "flowpack").as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            of_a_path = isinstance(node.func, ast.Attribute) and node.func.attr in _READS
            keywords = {keyword.arg for keyword in node.keywords}
            if (of_a_path or (isinstance(node.func, ast.Name) and node.func.id == "open")) and "within" not in keywords:
                found.add(name)
    assert {name for name in found if not name.startswith(_IN_THE_IMAGE)} == set(_OWN_WAYS)


# Files that never end, and folders that never end


@pytest.mark.attack("H7")
@pytest.mark.parametrize("kind", ["endless", "pipe"])
@pytest.mark.parametrize(
    ("name", "flow"),
    [
        ("flow.dag.yaml", None),
        ("deployment.yaml", "nodes: []\n"),
        ("requirements.txt", "nodes: []\n"),
        ("a.py", "nodes:\n- {name: a, type: python, source: {type: code, path: a.py}}\n"),
        ("a.jinja2", "nodes:\n- {name: a, type: prompt, source: {type: code, path: a.jinja2}}\n"),
        ("samples.json", "nodes: []\n"),
        ("Dockerfile.base", "nodes: []\n"),
        (".gitignore", "nodes: []\n"),
        ("x.yaml", "nodes: []\n"),
    ],
)
def test_a_file_that_never_ends_ends_in_a_finding(project: Path, kind: str, name: str, flow: str | None) -> None:
    if flow:
        write_tree(project / "flow", {"flow.dag.yaml": flow})
    place = project / "flow" / name
    place.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("/dev/zero")
    began = time.monotonic()
    found = check([str(project / "flow" / "flow.dag.yaml")], use_cache=False)
    with pytest.raises(FlowpackError):
        assembled(project / "flow")
    assert time.monotonic() - began < 10
    assert [each for each in found.findings if each.location.path == place or "flow.dag.yaml" in str(each.location)]


@pytest.mark.attack("H7")
def test_a_large_data_file_takes_no_memory_in_a_check(project: Path) -> None:
    for name in ("data.bin", "data.yaml", "data.py", "data.prompty", "data.json"):
        with (project / "flow" / name).open("wb") as file:
            file.truncate(2**30)  # has no blocks on disk
    code = (
        "import sys, resource; from flowpack.cli.main import cli\n"
        "resource.setrlimit(resource.RLIMIT_AS, (700 * 2**20,) * 2)\n"
        "sys.exit(cli.main(['check', '.', '--no-cache'], standalone_mode=False))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False, timeout=120
    )
    assert "MemoryError" not in done.stderr, done.stderr
    assert "Traceback" not in done.stderr or "SystemExit" in done.stderr, done.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0


@pytest.mark.attack("H7")
def test_folders_that_links_multiply_end_in_an_error(project: Path) -> None:
    farm = project / "farm"
    for level in range(25):
        (farm / str(level)).mkdir(parents=True)
    for level in range(24):
        (farm / str(level) / "a").symlink_to(f"../{level + 1}")
        (farm / str(level) / "b").symlink_to(f"../{level + 1}")
    (project / "flow" / "in").symlink_to("../farm/0")
    began = time.monotonic()
    with pytest.raises(InputError, match="by more than 64 paths"):
        assembled(project / "flow")
    check([str(project)], use_cache=False)
    assert time.monotonic() - began < 20


def deep(folder: Path, levels: int) -> None:
    """Made from within, as no path is that long."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file.txt", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)


def remove_deep(folder: Path) -> None:
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.mark.attack("H7")
@pytest.mark.parametrize("levels", [2_000, 10_000])
def test_folders_nested_without_end_are_refused_with_a_place(project: Path, levels: int) -> None:
    deep(project / "flow", levels)
    try:
        with pytest.raises(InputError, match="is nested in more than 100 folders"):
            assembled(project / "flow")
        with pytest.raises(InputError, match="more than 100 levels deep"):
            check([str(project)], use_cache=False)
    finally:
        remove_deep(project / "flow" / "d")


@pytest.mark.attack("H7")
def test_the_deepest_folders_that_are_allowed_are_written_and_removed(project: Path, tmp_path: Path) -> None:
    deep(project / "flow", 100)
    try:
        with staged(tmp_path / "out") as folder:
            write_flow_folder(assembled(project / "flow"), folder / "flow")
            (folder / "flowpack.json").write_text("{}")
        with staged(tmp_path / "out") as folder:
            (folder / "flowpack.json").write_text("{}")
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["flowpack.json"]
        assert not list(tmp_path.glob(".out*"))
    finally:
        remove_deep(project / "flow" / "d")


@pytest.mark.attack("H7")
@pytest.mark.parametrize("pattern", ["a*" * 12 + "b", "*a" * 100 + "b", "[ab]*" * 60 + "c", "**/a" * 40 + "/**/b"])
def test_an_ignore_pattern_of_many_wildcards_is_matched_in_no_time(project: Path, pattern: str) -> None:
    write_tree(project / "flow", {".gitignore": pattern + "\n", "a" * 250: ""})
    began = time.monotonic()
    assert "a" * 250 in assembled(project / "flow").files
    assert time.monotonic() - began < 10


@pytest.mark.attack("super-linear: ignore file")
@pytest.mark.parametrize("size", [16_000, 64_000, 128_000, 1_000_000])
def test_an_ignore_file_of_many_patterns_is_read_in_time_or_refused(project: Path, size: int) -> None:
    text = "".join(f"*{number}\n" for number in range(size // 5))[:size]
    write_tree(project / "flow", {".gitignore": text, "data/x.txt": ""})
    began = time.monotonic()
    with pytest.raises(InputError, match=r"more than 2000 patterns|larger than"):
        assembled(project / "flow")
    assert time.monotonic() - began < 10


# Files that change while they are read


def age(path: Path) -> None:
    """So that the next change shows in the times."""
    os.utime(path, (1_700_000_000, 1_700_000_000))


def in_place(path: Path, content: bytes) -> None:
    """Writes over the content, with the size and the modification time that there were."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def swapped_for_a_link(path: Path, content: bytes) -> None:
    """Puts a link in the file's place that leads to other content, of the same size and time, outside."""
    before = path.stat()
    other = path.parents[2] / "other"
    other.write_bytes(content)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    path.unlink()
    path.symlink_to(other)


@pytest.mark.attack("M3")
@pytest.mark.parametrize("change", [in_place, swapped_for_a_link])
@pytest.mark.parametrize("moment", ["listed", "summed up", "being copied"])
@pytest.mark.parametrize("size", [1_000, 100_000, 3_000_000])
def test_a_file_that_changes_during_a_build_is_refused_or_packaged_as_its_digest_says(
    project: Path,
    tmp_path: Path,
    change: Callable[[Path, bytes], None],
    moment: str,
    size: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = project / "flow" / "data.bin"
    path.write_bytes(b"a" * size)
    age(path)
    folder = assembled(project / "flow")
    if moment == "summed up":
        folder.digest  # noqa: B018
    if moment == "being copied":
        whole = copied.copy_and_sum_up

        def changing(source: int, *rest: object, **options: object) -> str:
            if os.fstat(source).st_size == size:
                change(path, b"b" * size)
            return whole(source, *rest, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(copied, "copy_and_sum_up", changing)
    else:
        change(path, b"b" * size)
    try:
        write_flow_folder(folder, tmp_path / "out")
    except InputError as refused:
        assert "changed during the build" in refused.message or "leads out" in refused.message
        return
    written = tmp_path / "out" / "data.bin"
    assert folder.digests["data.bin"] == digest_of(CopiedFile.of(str(written), written.stat(), (tmp_path.resolve(),)))
    if change is swapped_for_a_link:
        assert written.read_bytes() == b"a" * size  # nothing from outside


@pytest.mark.attack("M3")
def test_a_file_in_an_archive_that_changes_meanwhile_is_refused(project: Path, tmp_path: Path) -> None:
    write_tree(
        project, {"flow/flow.dag.yaml": "nodes: []\nadditional_includes:\n- ../shared.zip\n", "shared/a.txt": "aaaa"}
    )
    folder = assembled(project / "flow")
    swapped_for_a_link(project / "shared" / "a.txt", b"bbbb")
    with pytest.raises(InputError, match=r"changed during the build|leads out"):
        write_flow_folder(folder, tmp_path / "out")


@pytest.mark.attack("M3")
def test_a_listed_file_is_not_opened_through_a_link_that_came_later(project: Path, outside: Path) -> None:
    listed = file_at(str(outside), (project,))
    with pytest.raises(InputError, match="leads out of the project"):
        digest_of(listed)


# Version control


@pytest.mark.attack("M5")
@pytest.mark.parametrize(
    "to", ["../.git", "../.git/config", "../.git/modules/x", "../mirror", "../mirror/objects", "../.GIT", "../.hg"]
)
def test_no_link_brings_version_control_into_the_folder(project: Path, to: str) -> None:
    write_tree(project, {".git/modules/x/HEAD": "", ".GIT/config": "", ".hg/hgrc": ""})
    write_tree(project / "mirror", {"HEAD": "", "config": "", "objects/a": "", "refs/b": ""})
    (project / "flow" / "g").symlink_to(to)
    try:
        files = assembled(project / "flow").files
    except InputError as refused:
        assert "version control" in refused.message
        return
    assert set(files) == {"flow.dag.yaml"}


@pytest.mark.attack("M5")
@pytest.mark.parametrize(
    "include", ["../.git", "../.git/config", "../lib/../.git/config", "../mirror/config", "../g", "../.GIT/config"]
)
def test_no_include_brings_version_control_into_the_folder(project: Path, include: str) -> None:
    write_tree(project, {".GIT/config": "", "lib/a": ""})
    write_tree(project / "mirror", {"HEAD": "", "config": "", "objects/a": "", "refs/b": ""})
    (project / "g").symlink_to(".git")
    write_tree(project / "flow", {"flow.dag.yaml": f"nodes: []\nadditional_includes:\n- {include}\n"})
    with pytest.raises(InputError, match="version control"):
        assembled(project / "flow")


@pytest.mark.attack("M5")
@pytest.mark.parametrize("name", [".git", ".GIT", ".Git", ".g\u200cit", ".git.", ".hg", ".SVN", "git~1", "bare"])
def test_what_is_version_control_by_any_name_is_left_out(project: Path, name: str) -> None:
    write_tree(project / "flow" / "sub" / name, {"HEAD": "", "config": "", "objects/a": "", "refs/b": ""})
    assert set(assembled(project / "flow").files) == {"flow.dag.yaml"}
    flow = read_flow(project / "flow")
    assert "version control" in str(explain(flow, IncludeRoots.of(flow.folder), f"sub/{name}/config"))


@pytest.mark.attack("M5")
def test_a_file_that_says_where_the_repository_is_is_left_out(project: Path) -> None:
    write_tree(project / "flow" / "sub", {".git": "gitdir: /somewhere\n", "a.txt": ""})
    assert set(assembled(project / "flow").files) == {"flow.dag.yaml", "sub/a.txt"}


@pytest.mark.attack("M5")
def test_a_flow_that_is_a_bare_repository_is_refused(project: Path) -> None:
    write_tree(project / "flow", {"HEAD": "", "config": "", "objects/.keep": "", "refs/.keep": ""})
    with pytest.raises(InputError, match="itself a git repository"):
        assembled(project / "flow")


# Names and folders that cannot be


@pytest.mark.attack("low: overlong source paths")
@pytest.mark.parametrize("path", ["a" * 5_000 + ".py", "a/" * 3_000 + "b.py", "a\\0b.py"])
@pytest.mark.parametrize("command", [["check", "flow"], ["build", "flow", "--dry-run"]])
def test_a_path_that_no_file_can_have_is_an_error_with_its_place(project: Path, path: str, command: list[str]) -> None:
    text = (
        f'nodes:\n- {{name: a, type: python, source: {{type: code, path: "{path}"}}}}\n'
        f'additional_includes:\n- "../{path}"\n'
    )
    write_tree(project / "flow", {"flow.dag.yaml": text})
    assert "flow.dag.yaml:" in printed(command, project)


@pytest.mark.attack("low: a flow folder whose name is not UTF-8")
@pytest.mark.parametrize("command", [["check"], ["build", "--dry-run"]])
def test_a_folder_whose_name_is_not_utf8_is_an_error(project: Path, command: list[str]) -> None:
    name = os.fsdecode(b"fl\xffow")
    (project / "flow").rename(project / name)
    text = printed([command[0], name, *command[1:]], project)
    assert "not UTF-8" in text


@pytest.mark.attack("low: unreadable folders and files")
@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_an_error_with_its_place(project: Path) -> None:
    (project / "flow" / "closed").mkdir(mode=0)
    assert "closed: cannot be read" in printed(["check", "."], project)
    assert "closed: cannot be read" in printed(["build", "flow", "--dry-run"], project)


@pytest.mark.attack("low: C locale")
@pytest.mark.parametrize("mode", ["0", "1"])
def test_names_that_are_not_ascii_are_an_error_or_read_in_any_locale(project: Path, mode: str) -> None:
    write_tree(project / "flow", {"é.txt": "", "ü/ß.py": ""})
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "PYTHONUTF8": mode, "PYTHONCOERCECLOCALE": "0"}
    for command in (["check", "."], ["build", "flow", "--dry-run"]):
        done = subprocess.run(
            [sys.executable, "-m", "flowpack", *command], check=False, cwd=project, env=environment, capture_output=True
        )
        assert b"Traceback" not in done.stderr
        assert done.returncode in {0, 1, 2}


@pytest.mark.attack("low: a deleted working directory")
@pytest.mark.parametrize("command", ["check", "build --dry-run"])
def test_a_working_directory_that_is_gone_is_no_traceback(project: Path, tmp_path: Path, command: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    verb, *options = command.split()
    code = (
        f"import os, sys; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})\n"
        "from flowpack.cli.main import main\n"
        f"sys.argv = ['flowpack', {verb!r}, {str(project / 'flow')!r}, *{options!r}]\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr


@pytest.mark.attack("held: clocks 31 years off are right")
@pytest.mark.parametrize("years", [-31, 31])
def test_a_change_is_seen_whatever_the_clock_says(
    project: Path, tmp_path: Path, years: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time_ns() + years * 365 * 86_400 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: now)
    path = project / "flow" / "data.bin"
    path.write_bytes(b"a" * 10)
    folder = assembled(project / "flow")
    folder.digest  # noqa: B018
    time.sleep(0.05)
    in_place(path, b"b" * 10)
    with pytest.raises(InputError, match="changed during the build"):
        write_flow_folder(folder, tmp_path / "out")


@pytest.mark.attack("held: full disk")
def test_a_full_disk_leaves_the_old_output(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_to(output: Path) -> None:
        with staged(output) as folder:
            write_flow_folder(assembled(project / "flow"), folder / "flow")
            (folder / "flowpack.json").write_text("{}")

    write_tree(project / "flow", {"data.txt": "old"})
    write_to(tmp_path / "out")
    write_tree(project / "flow", {"data.txt": "new"})

    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(copied, "copy_and_sum_up", full)
    with pytest.raises(OutsideError, match="cannot be written: No space left"):
        write_to(tmp_path / "out")
    assert (tmp_path / "out" / "flow" / "data.txt").read_text() == "old"
    assert not list(tmp_path.glob(".out*"))
