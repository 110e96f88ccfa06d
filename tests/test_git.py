"""What a stranger's repository can make git run: nothing, wherever it names a program.

Each place of git's configuration that names one has a repository that plants a command there. The commands leave a
mark, with the variables that they saw.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowpack.ci.changed import changes_since
from flowpack.errors import FlowpackError
from flowpack.git import repository_of
from flowpack.images.source_labels import REVISION, source_labels
from tests.paths import write_tree

FLOW = "inputs:\n  q:\n    type: string\n    default: a\nnodes: []\noutputs: {}\n"
FILES = {
    "flow/flow.dag.yaml": FLOW,
    "flow/notes.txt": "one\n",
    "flow/requirements.txt": "",
    "other.txt": "one\n",
}


def git(folder: Path, *arguments: str) -> str:
    settings = ("user.name=t", "user.email=t@example.com", "commit.gpgsign=false", "protocol.file.allow=always")
    command = ("git", *(word for setting in settings for word in ("-c", setting)), *arguments)
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message=change")
    return git(folder, "rev-parse", "HEAD")


def repository(folder: Path, files: dict[str, str] = FILES) -> Path:
    write_tree(folder, files)
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder)
    return folder


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "outside" / "mark"


@pytest.fixture
def planted(mark: Path) -> str:
    """A command that succeeds whatever it is asked and given."""
    mark.parent.mkdir()
    program = mark.with_name("planted")
    program.write_text(f"#!/bin/sh\nenv >> '{mark}'\n[ -t 0 ] || cat\n")
    program.chmod(0o755)
    return str(program)


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


SETTINGS = (
    *("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.askPass", "core.gitProxy"),
    *("core.alternateRefsCommand", "sequence.editor", "credential.helper", "diff.external", "gpg.program"),
    *("gpg.ssh.program", "gpg.ssh.defaultKeyCommand", "interactive.diffFilter", "uploadpack.packObjectsHook"),
    *("filter.x.clean", "filter.x.smudge", "filter.x.process", "filter.lfs.clean", "filter.lfs.process"),
    *("diff.x.command", "diff.x.textconv", "merge.x.driver", "alias.status", "alias.rev-parse", "alias.diff"),
    *("remote.origin.uploadpack", "remote.origin.vcs", "pager.status", "pager.diff", "pager.ls-files"),
    *("trailer.x.command", "web.browser", "difftool.x.cmd", "mergetool.x.cmd", "submodule.flow.update"),
    "hook.x.command",
)


def in_its_configuration(folder: Path, command: str) -> None:
    hooks = folder / ".git" / "planted-hooks"
    write_tree(hooks, dict.fromkeys(("post-index-change", "pre-commit", "fsmonitor"), f"#!/bin/sh\n{command}\n"))
    for hook in hooks.iterdir():
        hook.chmod(0o755)
    lines = [f"[core]\n\thooksPath = {hooks}\n[log]\n\tshowSignature = true\n[extensions]\n\tworktreeConfig = true\n"]
    for setting in SETTINGS:
        section, _, rest = setting.partition(".")
        subsection, _, key = rest.rpartition(".")
        header = f'{section} "{subsection}"' if subsection else section
        value = "!" + command if setting.startswith(("alias.", "credential.", "submodule.")) else command
        lines.append(f"[{header}]\n\t{key} = {value}\n")
    append(folder / ".git/config", "".join(lines))
    append(folder / ".git/config.worktree", f"[core]\n\tfsmonitor = {command}\n")


def included(folder: Path, command: str) -> None:
    append(folder / ".git/more", f"[core]\n\tfsmonitor = {command}\n")
    append(folder / ".git/config", f'[include]\n\tpath = more\n[includeIf "gitdir:**"]\n\tpath = {folder}/.git/more\n')


def in_hooks(folder: Path, command: str) -> None:
    for name in ("post-index-change", "fsmonitor-watchman", "reference-transaction", "pre-commit", "post-checkout"):
        write_tree(folder / ".git/hooks", {name: f"#!/bin/sh\n{command}\n"})
        (folder / ".git/hooks" / name).chmod(0o755)


def by_a_filter(folder: Path, command: str) -> None:
    write_tree(folder, {".gitattributes": "* filter=x diff=x merge=x\n"})
    commit(folder)
    append(folder / ".git/config", f'[filter "x"]\n\tclean = {command}\n[diff "x"]\n\ttextconv = {command}\n')
    append(folder / ".git/info/attributes", "* filter=x diff=x\n")
    touched(folder / "flow/notes.txt")


def by_a_process(folder: Path, command: str) -> None:
    write_tree(folder, {".gitattributes": "* filter=lfs\n"})
    commit(folder)
    append(folder / ".git/config", f'[filter "lfs"]\n\tprocess = {command}\n\tclean = {command}\n')
    touched(folder / "flow/notes.txt")


def by_a_partial_clone(folder: Path, command: str) -> None:
    append(
        folder / ".git/config",
        f'[extensions]\n\tpartialClone = origin\n[remote "origin"]\n\turl = ext::{command}\n\tpromisor = true\n'
        '[protocol "ext"]\n\tallow = always\n[protocol]\n\tallow = always\n',
    )
    head = git(folder, "rev-parse", "HEAD^{tree}")
    (folder / ".git/objects" / head[:2] / head[2:]).unlink()


def embedded_bare(folder: Path, command: str) -> None:
    config = f'[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n\tfsmonitor = "{command}"\n'
    write_tree(folder / "flow", {"HEAD": "ref: refs/heads/main\n", "config": config})
    write_tree(folder / "flow", {"objects/.keep": "", "refs/.keep": ""})
    commit(folder)


def embedded(folder: Path, command: str) -> None:
    """Not from a clone, but from an archive."""
    repository(folder / "flow")
    by_a_filter(folder / "flow", command)
    in_its_configuration(folder / "flow", command)


def another_work_tree(folder: Path, command: str) -> None:
    append(folder / ".git/config", f"[core]\n\tworktree = ../flow\n\tfsmonitor = {command}\n")


def in_a_submodule(folder: Path, command: str) -> None:
    repository(folder.parent / "inner")
    git(folder, "submodule", "--quiet", "add", str(folder.parent / "inner"), "flow/inner")
    commit(folder)
    write_tree(folder / "flow/inner", {".gitattributes": "* filter=x\n"})
    append(
        folder / ".git/modules/flow/inner/config",
        f'[core]\n\tfsmonitor = {command}\n[filter "x"]\n\tclean = {command}\n',
    )
    touched(folder / "flow/inner/flow/notes.txt")


def by_programs_beside_the_flow(folder: Path, command: str) -> None:
    """Found where PATH has an entry for the working directory."""
    for place in (folder, folder / "flow"):
        for name in ("git", "git-status", "docker", "uv", "sh"):
            write_tree(place, {name: f"#!/bin/sh\n{command}\n"})
            (place / name).chmod(0o755)


def touched(path: Path) -> None:
    """git compares a file's content where its time is new: that is when a filter runs."""
    os.utime(path, (1, 1))


PLANTINGS: tuple[Callable[[Path, str], None], ...] = (
    *(in_its_configuration, included, in_hooks, by_a_filter, by_a_process, by_a_partial_clone),
    *(embedded_bare, embedded, another_work_tree, in_a_submodule, by_programs_beside_the_flow),
)


def name_of(planting: Callable[..., object]) -> str:
    return planting.__name__.replace("_", " ")


@pytest.fixture(params=PLANTINGS, ids=name_of)
def hostile(
    request: pytest.FixtureRequest, tmp_path: Path, planted: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    folder = repository(tmp_path / "hostile")
    request.param(folder, planted)
    (tmp_path / "outside" / "mark").unlink(missing_ok=True)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.pathsep}{os.environ['PATH']}")
    yield folder


@pytest.mark.attack("C1")
@pytest.mark.parametrize("inside", ["", "flow"], ids=["at the top", "in the flow"])
def test_nothing_of_a_repository_runs(hostile: Path, inside: str, mark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = hostile / inside
    monkeypatch.chdir(folder)
    source_labels(hostile / "flow")
    try:
        changes_since("HEAD", folder)
    except FlowpackError as error:  # a partial clone lacks what is compared
        assert "git diff failed" in error.message
    assert not mark.exists()


@pytest.mark.attack("C1")
@pytest.mark.parametrize("hostile", [embedded_bare, embedded, by_a_filter], indirect=True, ids=name_of)
def test_no_command_runs_anything_of_a_repository(hostile: Path, mark: Path, tmp_path: Path) -> None:
    registry = f"local:{tmp_path}/models"
    flow = hostile / "flow"
    engineless = {"DOCKER_HOST": "tcp://127.0.0.1:1"}
    commands = (
        ("register", ".", "--registry", registry, "--output", str(tmp_path / "model")),
        ("build", ".", "--dry-run", "--tag", "registry.example/flow:1"),
        ("ci", ".", "--changed-since", "HEAD", "--no-test"),
        ("check", "."),
    )
    for command in commands:
        done = subprocess.run(
            (sys.executable, "-I", "-m", "flowpack", *command),
            cwd=flow,
            env={**os.environ, **engineless},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert "Traceback" not in done.stderr
        assert not mark.exists(), command


def test_the_plantings_would_run(tmp_path: Path, planted: str, mark: Path) -> None:
    """Else the tests above would pass with any git."""
    for planting in (in_its_configuration, included, by_a_filter, by_a_process, embedded_bare, in_a_submodule):
        folder = repository(tmp_path / planting.__name__ / "hostile")
        planting(folder, planted)
        subprocess.run(("git", "status"), cwd=folder / "flow", capture_output=True, check=False)
        assert mark.exists(), planting.__name__
        mark.unlink()


@pytest.mark.attack("C1")
def test_git_gets_none_of_this_machine_s_secrets(
    tmp_path: Path, planted: str, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen by the owner's own filter of Git LFS, the one program that git may start."""
    home = write_tree(tmp_path / "home", {".gitconfig": f'[filter "lfs"]\n\tclean = {planted}\n\trequired = true\n'})
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for git")
    folder = repository(tmp_path / "repository")
    write_tree(folder, {".gitattributes": "*.txt filter=lfs\n"})
    commit(folder)
    mark.unlink(missing_ok=True)
    touched(folder / "flow/notes.txt")
    assert source_labels(folder / "flow") == {REVISION: git(folder, "rev-parse", "HEAD")}
    assert "PATH=" in mark.read_text()
    assert "not for git" not in mark.read_text()


@pytest.mark.attack("C1")
def test_a_repository_does_not_choose_among_the_owner_s_filters(
    tmp_path: Path, planted: str, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that starts ``python -m`` in the work tree would load a module of the stranger's."""
    home = write_tree(tmp_path / "home", {".gitconfig": f'[filter "notebooks"]\n\tclean = {planted}\n'})
    monkeypatch.setenv("HOME", str(home))
    folder = repository(tmp_path / "repository", {**FILES, ".gitattributes": "* filter=notebooks\n"})
    mark.unlink()
    touched(folder / "flow/notes.txt")
    assert labelled(folder / "flow") == ""
    assert changes_since("HEAD", folder)
    assert not mark.exists()


def labelled(folder: Path) -> str:
    return source_labels(folder).get(REVISION, "").removeprefix(git(folder, "rev-parse", "HEAD"))


@pytest.mark.parametrize(
    ("change", "dirty"),
    [
        (lambda folder: None, False),
        (lambda folder: append(folder / "flow/notes.txt", "two\n"), True),
        (lambda folder: write_tree(folder, {"flow/new.txt": ""}), True),
        (lambda folder: (folder / "flow/notes.txt").unlink(), True),
        (lambda folder: touched(folder / "flow/notes.txt"), False),
        (lambda folder: append(folder / "other.txt", "two\n"), False),
        (lambda folder: write_tree(folder, {".git/info/exclude": "new.txt\n", "flow/new.txt": ""}), False),
        (lambda folder: write_tree(folder, {"flow/.gitignore": "*.tmp\n.gitignore\n", "flow/a.tmp": ""}), False),
    ],
    ids=["nothing", "edited", "new", "removed", "touched", "elsewhere", "excluded", "ignored"],
)
def test_the_label_says_whether_the_flow_differs(tmp_path: Path, change: Callable[[Path], object], dirty: bool) -> None:
    folder = repository(tmp_path / "repository")
    change(folder)
    assert labelled(folder / "flow") == ("-dirty" if dirty else "")


def test_an_edit_of_the_same_size_within_the_second_counts(tmp_path: Path) -> None:
    for number in range(10):
        folder = repository(tmp_path / str(number))
        (folder / "flow/notes.txt").write_text("two\n")
        assert labelled(folder / "flow") == "-dirty"


@pytest.mark.parametrize("change", ["edited", "new", None])
def test_a_change_inside_a_submodule_counts(tmp_path: Path, change: str | None) -> None:
    folder = repository(tmp_path / "repository")
    repository(tmp_path / "inner")
    git(folder, "submodule", "--quiet", "add", str(tmp_path / "inner"), "flow/inner")
    commit(folder)
    if change:
        append(folder / "flow/inner" / {"edited": "other.txt", "new": "new.txt"}[change], "two\n")
    assert labelled(folder / "flow") == ("-dirty" if change else "")
    changes = changes_since("HEAD", folder)
    assert changes
    assert changes.paths == ({str(folder / "flow/inner")} if change else set())


def test_what_the_machine_s_owner_ignores_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = write_tree(tmp_path / "home", {".config/git/ignore": ".DS_Store\n"})
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    folder = repository(tmp_path / "repository")
    write_tree(folder, {"flow/.DS_Store": ""})
    assert labelled(folder / "flow") == ""
    write_tree(home, {".gitconfig": "[core]\n\texcludesFile = ~/mine\n", "mine": "*.swp\n"})
    write_tree(folder, {"flow/a.swp": ""})
    assert labelled(folder / "flow") == "-dirty"
    (folder / "flow/.DS_Store").unlink()
    assert labelled(folder / "flow") == ""


def test_line_ends_are_converted_as_the_repository_says(tmp_path: Path) -> None:
    folder = repository(tmp_path / "repository", {**FILES, ".gitattributes": "*.txt text\n"})
    git(folder, "config", "core.autocrlf", "true")
    (folder / "flow/notes.txt").unlink()
    git(folder, "checkout", "--quiet", ".")
    assert (folder / "flow/notes.txt").read_bytes() == b"one\r\n"
    touched(folder / "flow/notes.txt")
    assert labelled(folder / "flow") == ""


def linked_work_tree(folder: Path) -> Path:
    git(folder, "worktree", "add", "--quiet", "--detach", str(folder.parent / "linked"))
    return folder.parent / "linked"


def shallow(folder: Path) -> Path:
    commit(folder)
    git(folder.parent, "clone", "--quiet", "--depth=1", f"file://{folder}", "shallow")
    return folder.parent / "shallow"


def packed(folder: Path) -> Path:
    git(folder, "gc", "--quiet")
    return folder


def sharing_objects(folder: Path) -> Path:
    git(folder.parent, "clone", "--quiet", "--shared", str(folder), "shared")
    return folder.parent / "shared"


def with_a_split_index(folder: Path) -> Path:
    git(folder, "update-index", "--split-index")
    return folder


def reached_by_a_link(folder: Path) -> Path:
    (folder.parent / "link").symlink_to(folder)
    return folder.parent / "link"


def by_sha256(folder: Path) -> Path:
    inner = write_tree(folder.parent / "sha256", FILES)
    git(inner, "init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    commit(inner)
    return inner


def untouched(folder: Path) -> Path:
    return folder


@pytest.mark.parametrize(
    "kind",
    [untouched, linked_work_tree, shallow, packed, sharing_objects, with_a_split_index, reached_by_a_link, by_sha256],
    ids=name_of,
)
def test_every_kind_of_checkout(kind: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = kind(repository(tmp_path / "repository"))
    assert labelled(folder / "flow") == ""
    append(folder / "flow/notes.txt", "two\n")
    assert labelled(folder / "flow") == "-dirty"
    changes = changes_since("HEAD", folder / "flow")
    assert changes
    assert changes.paths == {str(folder.resolve() / "flow/notes.txt")}


def test_revisions_mean_what_they_mean_to_git(tmp_path: Path) -> None:
    folder = repository(tmp_path / "origin")
    git(tmp_path, "clone", "--quiet", str(folder), "clone")
    clone = tmp_path / "clone"
    git(folder, "tag", "v1")
    git(clone, "fetch", "--quiet", "--tags")
    first = git(clone, "rev-parse", "HEAD")
    commit(clone)
    with repository_of(clone) as opened:
        assert opened
        for revision in ("origin/main", "HEAD~1", "v1", "@{upstream}", first[:10], "main^"):
            assert opened.commit(revision) == first
        assert opened.commit("no-such-branch") is None
        assert opened.origin == str(folder)


def test_the_origin_has_no_password_in_its_label(tmp_path: Path) -> None:
    folder = repository(tmp_path / "repository")
    git(folder, "remote", "add", "origin", "https://me:secret@example.com/flows.git")
    labels = source_labels(folder / "flow")
    assert labels["org.opencontainers.image.source"] == "https://****@example.com/flows.git"


def test_a_look_changes_nothing_of_the_repository(tmp_path: Path) -> None:
    folder = repository(tmp_path / "repository")
    touched(folder / "flow/notes.txt")
    before = {path: path.lstat().st_mtime_ns for path in (folder / ".git").rglob("*")}
    source_labels(folder / "flow")
    changes_since("HEAD", folder)
    assert {path: path.lstat().st_mtime_ns for path in (folder / ".git").rglob("*")} == before


@pytest.mark.parametrize("marker", ["empty folder", "points nowhere", "a pipe"])
def test_what_is_no_repository_has_no_labels(marker: str, tmp_path: Path) -> None:
    write_tree(tmp_path, FILES)
    if marker == "empty folder":
        (tmp_path / "flow/.git").mkdir()
    elif marker == "points nowhere":
        (tmp_path / "flow/.git").write_text("gitdir: ../nowhere\n")
    else:
        os.mkfifo(tmp_path / "flow/.git")
    assert source_labels(tmp_path / "flow") == {}


@pytest.mark.attack("C1")
@pytest.mark.parametrize("name", ["HEAD", "index", "config", "packed-refs", "shallow", "info", "commondir"])
@pytest.mark.parametrize("kind", ["a pipe", "a device", "a link out"])
def test_what_is_no_file_holds_nothing_up(name: str, kind: str, tmp_path: Path) -> None:
    folder = repository(tmp_path / "repository")
    path = folder / ".git" / name
    if path.is_dir():
        path.rename(tmp_path / name)
    path.unlink(missing_ok=True)
    if kind == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "a device" else "/proc/self/environ")
    began = time.monotonic()
    label = source_labels(folder / "flow").get(REVISION, "")
    assert re.fullmatch(r"([0-9a-f]{40}(-dirty)?)?", label)
    assert time.monotonic() - began < 10
