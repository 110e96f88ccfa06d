"""Asks git about a repository that a stranger may have written, without running what the repository names.

A repository's configuration names programs: file system monitors, hooks, filters, text conversions, transports,
helpers of many kinds, and more with each version of git. So git does not read it here. It gets a git folder of our own,
made for one question and removed after it, with links to the repository's objects and references, a copy of its index,
and the few settings that say what a file's content is. The idea is that of ``git-new-workdir``. The options on the
command line are a second wall behind that.

The repository is found here too, by its ``.git``: git would also take a folder for one that merely looks like a bare
repository, and such a folder survives a clone.

Of the machine owner's own configuration the settings of the same list count, and the filter of Git LFS, without which
large files would seem changed. Other filters do not run: ``.gitattributes`` would choose among them, and they start
in the work tree, where a stranger's files may be what they load.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flowpack import process, reading
from flowpack.errors import InputError, ToolError
from flowpack.process import Completed, Run
from flowpack.temporary import temporary_folder

PATIENCE = 300.0
"""Seconds for one answer; a repository may hold what git would wait for without end."""

_SMALL = 64 * 1024
_LARGEST_INDEX = 1024 * 1024 * 1024
_LINKED = ("objects", "refs", "packed-refs", "reftable", "shallow", "info")
_VALUE = re.compile(r"[\w.+-]{0,64}", re.ASCII)
_SETTINGS = {
    *("core.autocrlf", "core.checkstat", "core.eol", "core.filemode", "core.ignorecase", "core.precomposeunicode"),
    *("core.repositoryformatversion", "core.symlinks", "core.trustctime"),
    *("extensions.objectformat", "extensions.refstorage"),
}
_OF_A_BRANCH = re.compile(r"branch\..+\.(remote|merge)|remote\..+\.fetch", re.DOTALL)
"""What ``@{upstream}`` means."""
_OWNERS_FILES = {"core.excludesfile": "ignore", "core.attributesfile": "attributes"}
"""And the names that git looks for in its folder of the user where the setting is missing."""
_OWNERS_FILTER = re.compile(r"filter\.lfs\.(clean|smudge|process|required)")

_OPTIONS = (
    "--no-pager",
    *("-c", "core.fsmonitor=false"),
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "core.sshCommand=false"),
    *("-c", "credential.helper="),
    *("-c", "protocol.allow=never"),
    *("-c", "safe.bareRepository=explicit"),
    *("-c", "submodule.recurse=false"),
)
_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_ASKPASS": "false",
    "GIT_EDITOR": "false",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "SSH_ASKPASS": "false",
}
_OF_THE_MACHINE = {"PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH"}
_OWNERS = {"HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"}


@dataclass(frozen=True, slots=True)
class _Place:
    """``own`` and ``common`` are one folder but in a linked work tree, which has HEAD and index of its own."""

    work_tree: Path
    own: Path
    common: Path
    linked: bool


@dataclass(frozen=True, slots=True)
class Repository:
    """``work_tree`` has its links resolved. ``bare`` is one whose ``.git`` says that it has no work tree."""

    work_tree: Path
    bare: bool
    origin: str | None
    _folder: Path = field(repr=False)
    _run: Run = field(repr=False)

    def ask(self, *arguments: str, patience: float = PATIENCE) -> Completed:
        environment = _environment({"GIT_DIR": str(self._folder), "GIT_WORK_TREE": str(self.work_tree)}, self._folder)
        return self._run(("git", *_OPTIONS, *arguments), cwd=self.work_tree, env=environment, timeout=patience)

    def answer(self, *arguments: str, patience: float = PATIENCE) -> str:
        done = self.ask(*arguments, patience=patience)
        if done.returncode != 0:
            raise ToolError(f"git {arguments[0]} failed", detail=done.stderr)
        return done.stdout

    def commit(self, revision: str, patience: float = 30.0) -> str | None:
        done = self.ask(
            *("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"), patience=patience
        )
        return done.stdout.strip() if done.returncode == 0 else None

    def is_changed(self, folder: Path, patience: float = PATIENCE) -> bool:
        """Whether the work tree differs from HEAD below a folder, submodules and files that git does not know
        included."""
        below = os.path.relpath(folder.resolve(), self.work_tree)
        status = ("status", "--porcelain", "--ignore-submodules=dirty", "--", below)
        return bool(self.answer(*status, patience=patience)) or any(
            self._is_changed_inside(path, patience) for path in self.submodules(below)
        )

    def changed_since(self, commit: str) -> frozenset[Path]:
        """Absolute paths, also of what is gone and of what git does not know; a submodule is named alone."""
        difference = ("diff", "--name-only", "--no-renames", "--no-relative", "--no-ext-diff", "--no-textconv")
        listed = self.answer(*difference, "--ignore-submodules=dirty", "-z", commit)
        listed += self.answer("ls-files", "--others", "--exclude-standard", "-z")
        inside = (path for path in self.submodules() if self._is_changed_inside(path, PATIENCE))
        return frozenset((*(self.work_tree / name for name in listed.split("\0") if name), *inside))

    def submodules(self, below: str = ".") -> tuple[Path, ...]:
        """Those that are checked out. git itself would look into each with that one's own configuration."""
        entries = self.answer("ls-files", "--stage", "-z", "--", below).split("\0")
        paths = (self.work_tree / entry.partition("\t")[2] for entry in entries if entry.startswith("160000 "))
        return tuple(path for path in dict.fromkeys(paths) if os.path.lexists(path / ".git"))

    def _is_changed_inside(self, submodule: Path, patience: float) -> bool:
        # A link on the way may lead to any other repository of this machine.
        place = _at(submodule) if submodule.resolve() == submodule else None
        if place is None:
            return False
        with _opened(place, self._run) as inner:
            return inner.is_changed(inner.work_tree, patience)


@contextlib.contextmanager
def repository_of(folder: Path, run: Run = process.run) -> Iterator[Repository | None]:
    """The repository whose work tree holds the folder; None where there is none, or git is not installed."""
    start = folder.resolve()
    place = next(filter(None, map(_at, (start, *start.parents))), None)
    if place is None or (run is process.run and process.find_program("git") is None):
        yield None
        return
    with _opened(place, run) as repository:
        yield repository


def _at(level: Path) -> _Place | None:
    marker = level / ".git"
    if marker.is_dir():
        own = marker
    elif named := _first_line(marker).removeprefix("gitdir: ").strip():
        own = level / named
    else:
        return None
    common = own / (_first_line(own / "commondir").strip() or ".")
    valid = os.path.lexists(own / "HEAD") and (common / "objects").is_dir() and os.path.lexists(common / "refs")
    return _Place(level, own, common, linked=not marker.is_dir()) if valid else None


def _first_line(path: Path) -> str:
    try:
        return os.fsdecode(reading.read_bytes(path, limit=_SMALL, within=None)).partition("\n")[0]
    except InputError:
        return ""


@contextlib.contextmanager
def _opened(place: _Place, run: Run) -> Iterator[Repository]:
    with temporary_folder("git") as scratch:
        folder = scratch.resolve()
        _link(place, folder)
        of_owner = _listed(run, folder, {name: os.environ[name] for name in _OWNERS & os.environ.keys()}, "--includes")
        copied = folder / "its-config"
        with contextlib.suppress(FileNotFoundError):
            copied.write_bytes(_config(place.common / "config"))
        of_repository = _listed(run, folder, {}, f"--file={copied}", "--no-includes") if copied.exists() else {}
        (folder / "config").write_text(_rendered(_chosen(of_owner, of_repository)), encoding="utf-8")
        bare = not place.linked and _last(of_repository, "core.bare").lower() in {"true", "yes", "on", "1"}
        origin = _last(of_repository, "remote.origin.url") or _last(of_owner, "remote.origin.url") or None
        yield Repository(place.work_tree, bare, origin, folder, run)


def _config(path: Path) -> bytes:
    if not os.path.lexists(path):
        raise FileNotFoundError(path)
    return reading.read_bytes(path, limit=reading.DOCUMENT_BYTES, within=None)


def _link(place: _Place, folder: Path) -> None:
    for name in _LINKED:
        source = (place.common / name).resolve()
        if source.is_dir() or source.is_file():  # and no named pipe, at which git would wait
            (folder / name).symlink_to(source)
    head = place.own / "HEAD"
    # Before it was a file with a name in it, HEAD was a link.
    text = f"ref: {head.readlink()}\n" if head.is_symlink() else f"{_first_line(head)}\n"
    (folder / "HEAD").write_text(text, encoding="utf-8", errors="surrogateescape")
    for shared in place.own.glob("sharedindex.*"):
        (folder / shared.name).symlink_to(shared.resolve())
    if (place.own / "index").exists():
        _copy_index(place.own / "index", folder / "index")


def _copy_index(source: Path, target: Path) -> None:
    """With its time: by it git knows which files may have been written after they were added."""
    with reading.opened(source, within=None) as (descriptor, found), target.open("wb") as out:
        if found.st_size > _LARGEST_INDEX:
            raise reading.too_large(source, _LARGEST_INDEX)
        with os.fdopen(os.dup(descriptor), "rb") as index:
            shutil.copyfileobj(index, out, 1024 * 1024)
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def _environment(own: Mapping[str, str], home: Path) -> dict[str, str | None]:
    """Nothing of this machine but what git needs: what it would run has no variables to take."""
    kept = {name: value for name, value in os.environ.items() if name in _OF_THE_MACHINE or name.startswith("LC_")}
    outside = {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "GIT_CONFIG_GLOBAL": os.devnull}
    return {**dict.fromkeys(os.environ), **kept, **_ENVIRONMENT, **outside, "GIT_CONFIG_NOSYSTEM": "1", **own}


def _listed(run: Run, folder: Path, owner: Mapping[str, str], *source: str) -> dict[str, list[str]]:
    environment = _environment({"GIT_DIR": str(folder)}, folder)
    if owner:
        environment = {**environment, "XDG_CONFIG_HOME": None, "GIT_CONFIG_GLOBAL": None, "GIT_CONFIG_NOSYSTEM": None}
    command = ("git", *_OPTIONS[:1], "config", *source, "--list", "-z")
    done = run(command, cwd=folder, env={**environment, **owner}, timeout=PATIENCE)
    if done.returncode != 0:
        raise ToolError("git cannot read its configuration", detail=done.stderr)
    found: dict[str, list[str]] = {}
    for entry in filter(None, done.stdout.split("\0")):
        name, equals, value = entry.partition("\n")
        found.setdefault(name, []).append(value if equals else "true")
    return found


def _last(settings: Mapping[str, list[str]], name: str) -> str:
    return settings.get(name, [""])[-1]


def _chosen(owner: Mapping[str, list[str]], repository: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    chosen = [("core.bare", "false")]
    for settings in (owner, repository):
        for name, values in settings.items():
            if name in _SETTINGS and _VALUE.fullmatch(values[-1]):
                chosen.append((name, values[-1]))
            elif _OF_A_BRANCH.fullmatch(name):
                chosen += [(name, value) for value in values]
    chosen += [(name, values[-1]) for name, values in owner.items() if _OWNERS_FILTER.fullmatch(name)]
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser(), "git")
    for name, default in _OWNERS_FILES.items():
        path = Path(_last(owner, name) or folder / default).expanduser()
        chosen += [(name, str(path))] if path.is_absolute() and path.is_file() else []
    return chosen


def _rendered(settings: list[tuple[str, str]]) -> str:
    lines = []
    for name, value in settings:
        section, _, rest = name.partition(".")
        subsection, _, key = rest.rpartition(".")
        header = f"{section} {_quoted(subsection)}" if subsection else section
        lines.append(f"[{header}]\n\t{key} = {_quoted(value)}\n")
    return "".join(lines)


def _quoted(text: str) -> str:
    """A subsection's name has no newline, by git's own rule."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
