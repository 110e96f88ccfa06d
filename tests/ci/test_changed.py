"""Which changes count for which flow, in a real repository."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from flowpack.assembly.flow_folder import assemble
from flowpack.assembly.roots import IncludeRoots
from flowpack.ci.changed import changes_since
from flowpack.errors import InputError
from flowpack.flows.reader import read_flow
from tests.paths import write_tree

FLOW = "inputs:\n  q:\n    type: string\n    default: a\nnodes: []\noutputs: {}\n"
FILES = {
    "flows/chat/flow.dag.yaml": FLOW + "additional_includes: [../../shared/notes, ../../shared/reply.jinja2]\n",
    "flows/chat/ask.py": "",
    "flows/chat/old.py": "",
    "flows/chat/.amlignore": "scratch/\n",
    "flows/chat/scratch/note.txt": "",
    "flows/chat/requirements.lock": "",
    "flows/zip/flow.dag.yaml": FLOW + "additional_includes: [../../shared/notes.zip]\n",
    "flows/other/flow.dag.yaml": FLOW,
    "shared/notes/sub/one.md": "one",
    "shared/notes/two.md": "two",
    "shared/reply.jinja2": "",
    "shared/unused.md": "",
    "README.md": "",
}


class Repository:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit()

    def git(self, *arguments: str) -> str:
        settings = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
        return subprocess.run(
            ("git", *settings, *arguments), cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=change")
        return self.git("rev-parse", "HEAD")

    def changed(self, revision: str = "HEAD") -> set[str]:
        changes = changes_since(revision, self.folder)
        assert changes
        found = set()
        for file in self.folder.glob("flows/*/flow.dag.yaml"):
            flow = read_flow(file)
            if changes.touch(assemble(flow, IncludeRoots.of(flow.folder))):
                found.add(flow.name)
        return found


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(write_tree(tmp_path / "repository", FILES))


def edit(path: str, text: str = "changed") -> Callable[[Path], None]:
    return lambda folder: (folder / path).write_text(text) and None


def remove(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).unlink()


@pytest.mark.parametrize(
    ("change", "flows"),
    [
        (edit("flows/chat/ask.py"), "chat"),
        (edit("flows/chat/new.py"), "chat"),
        (remove("flows/chat/old.py"), "chat"),
        (lambda folder: (folder / "flows/chat/old.py").rename(folder / "flows/other/old.py"), "chat other"),
        (lambda folder: (folder / "flows/chat/ask.py").chmod(0o755), "chat"),
        (edit("flows/chat/requirements.lock"), "chat"),
        (remove("flows/chat/requirements.lock"), "chat"),
        (edit("flows/chat/.amlignore", ""), "chat"),
        (edit("flows/chat/flow.dag.yaml", FLOW), "chat"),
        (edit("shared/notes/two.md"), "chat zip"),
        (edit("shared/notes/sub/one.md"), "chat zip"),
        (edit("shared/reply.jinja2"), "chat"),
        (edit("flows/Dockerfile.base", "FROM a"), "chat other zip"),
        (edit("flows/chat/scratch/note.txt"), ""),
        (edit("shared/unused.md"), ""),
        (edit("README.md"), ""),
        (lambda folder: None, ""),
    ],
    ids=[
        *("edited", "new", "removed", "moved", "mode", "lock", "lock removed", "ignore file", "flow file", "included"),
        *("included deeper", "included alone", "base image", "ignored", "unused", "elsewhere", "nothing"),
    ],
)
@pytest.mark.parametrize("committed", [True, False], ids=["committed", "as it lies there"])
def test_what_counts(repository: Repository, change: Callable[[Path], None], flows: str, committed: bool) -> None:
    since = repository.git("rev-parse", "HEAD")
    change(repository.folder)
    if committed:
        repository.commit()
    assert repository.changed(since) == set(flows.split())


def test_names_that_git_would_quote(repository: Repository) -> None:
    edit('flows/chat/naïve "name".md')(repository.folder)
    assert repository.changed() == {"chat"}


def test_what_the_main_branch_did_meanwhile_does_not_count(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--create", "feature")
    edit("flows/other/new.py")(repository.folder)
    repository.commit()
    repository.git("switch", "--quiet", "main")
    edit("flows/chat/ask.py")(repository.folder)
    repository.commit()
    repository.git("switch", "--quiet", "feature")
    assert repository.changed("main") == {"other"}


def test_the_target_of_a_link_counts(repository: Repository) -> None:
    (repository.folder / "flows/other/linked.md").symlink_to("../../shared/unused.md")
    since = repository.commit()
    edit("shared/unused.md")(repository.folder)
    assert repository.changed(since) == {"other"}


@pytest.mark.parametrize("revision", ["0" * 40, "no-such-branch", "--output=x", ""])
def test_a_revision_that_git_does_not_have(repository: Repository, revision: str) -> None:
    assert changes_since(revision, repository.folder) is None


def test_outside_of_git(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs a git checkout"):
        changes_since("HEAD", tmp_path)


@pytest.mark.parametrize(("place", "flows"), [("shared", "chat zip"), ("flows/other/lib", "other")])
def test_a_submodule_counts_for_the_flows_that_it_holds_a_part_of(tmp_path: Path, place: str, flows: str) -> None:
    inner = Repository(write_tree(tmp_path / "inner", {"notes/a.md": "", "reply.jinja2": ""}))
    own = {name: text for name, text in FILES.items() if not name.startswith(f"{place}/")}
    repository = Repository(write_tree(tmp_path / "repository", own))
    allowed = ("-c", "protocol.file.allow=always")
    repository.git(*allowed, "submodule", "--quiet", "add", str(inner.folder), place)
    since = repository.commit()
    write_tree(repository.folder / place, {"notes/a.md": "changed"})
    nested = Repository(repository.folder / place)
    nested.commit()
    repository.commit()
    assert repository.changed(since) == set(flows.split())
