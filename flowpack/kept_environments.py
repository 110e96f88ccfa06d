"""Virtual environments in the cache: made once for what they follow from, looked over before they are used again.

When one is complete, a manifest notes each file and folder of it: what the system says of it, which no program can
forge without notice, and its content's digest. As long as the first is as it was, looking at it is all there is to
do. Else contents are compared; an environment in which they differ, or in which something came or went, is made again.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import stat
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from flowpack.caches import cache_folder, read_cached, write_cached
from flowpack.errors import OutsideError
from flowpack.reporting import SILENT, Reporter
from flowpack.temporary import new_held_folder, remove_abandoned, removed_at_the_end
from flowpack.writing import reason_of

if sys.platform != "win32":
    import fcntl

Make = Callable[[Path], None]

_MANIFESTS = "manifests"
_LOCKS = "locks"
_OFTEN_ENOUGH = 7 * 24 * 3600  # s: contents are compared once a week where nothing tells of a change
_BETWEEN_ATTEMPTS = 0.1


def kept_environment(kind: str, key: str, make: Make, *, name: str, reporter: Reporter = SILENT) -> Path:
    """The environment ``key`` of the cache's folder ``kind``; ``make`` writes it into a folder that is not there yet.

    ``name`` says to a person what it is of. Of several processes one makes it, and the others wait. It is made beside
    its place and renamed when it is complete: one that is killed leaves nothing that looks whole.
    """
    folder = cache_folder(kind)
    place = folder / key
    if _damage(kind, place) is None:
        return place
    waiting = f"waiting for another flowpack, which makes the environment of {name}"
    with _alone(f"{kind}-{key}", lambda: reporter.info(waiting)):
        damage = _damage(kind, place)
        if damage is None:
            return place
        if os.path.lexists(place):
            reporter.info(f"the environment of {name} is broken ({damage}): it is made again")
        try:
            _make(kind, place, make)
        except OSError as error:
            raise OutsideError(f"the environment of {name} cannot be kept in {folder}: {reason_of(error)}") from error
    return place


def damaged_packages(environment: Path) -> list[str]:
    """Packages with a file that is not what its RECORD says, by the names of their ``.dist-info`` folders.

    An installer takes unpacked wheels out of its own cache, where anything may have changed them.
    """
    damaged = []
    for record in sorted(environment.glob("lib/python*/site-packages/*.dist-info/RECORD")):
        with record.open(encoding="utf-8", newline="") as lines:
            for path, stated, *_ in filter(None, csv.reader(lines)):
                if stated.startswith("sha256=") and not _is_as_stated(record.parents[1] / path, stated):
                    damaged.append(record.parent.name)
                    break
    return damaged


def _is_as_stated(path: Path, stated: str) -> bool:
    if "bin" in path.parts[-2:-1]:
        return True  # a program's first line names the interpreter, in which the installer may put another
    with contextlib.suppress(OSError):
        digest = urlsafe_b64encode(bytes.fromhex(_digest(str(path)))).rstrip(b"=").decode()
        return stated == f"sha256={digest}"
    return False


def _make(kind: str, place: Path, make: Make) -> None:
    remove_abandoned(place.parent, ".")
    with removed_at_the_end(new_held_folder(place.parent, f".{place.name[:40]}.")) as beside:
        made = beside.path / "environment"
        make(made)
        contents = _contents(made)
        if os.path.lexists(place):
            # Moved away first: a process that still runs from it does not find it half there.
            place.rename(beside.path / "broken")
        made.rename(place)
        _keep_manifest(kind, place, contents)


def _damage(kind: str, place: Path) -> str | None:
    """What is wrong with the environment, for a person; None where all is as it was when it was made."""
    found = _lstat(place)
    if found is None:
        return "it is missing"
    if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "geteuid") and found.st_uid != os.geteuid()):
        return "it is another user's, or not a folder"
    if not (place / "bin" / "python").exists():
        return "its interpreter is gone"
    manifest = _manifest(kind, place)
    return _change(kind, place, manifest) if manifest else "nothing says what belongs into it"


def _change(kind: str, place: Path, manifest: _Manifest) -> str | None:
    if manifest.seal == _seal(place, manifest.paths) and 0 <= time.time() - manifest.compared < _OFTEN_ENOUGH:
        return None
    contents = _contents(place)
    known = _known_contents(kind, place)
    if contents != known:
        differing = {path for path, _ in set(contents.items()) ^ set(known.items())}
        return f"{min(differing).removeprefix('./')} has changed, or has come or gone"
    _keep_manifest(kind, place, contents)
    return None


@dataclass(frozen=True, slots=True)
class _Manifest:
    """``seal`` sums up what the system says of all ``paths``; ``compared`` is when their contents were looked at."""

    compared: float
    paths: list[str]
    seal: str


def _manifest(kind: str, place: Path) -> _Manifest | None:
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return _Manifest(**json.loads(read_cached(_MANIFESTS, f"{kind}-{place.name}") or b"{}"))
    return None


def _known_contents(kind: str, place: Path) -> dict[str, str]:
    """Kept apart, as they are seldom needed and long."""
    with contextlib.suppress(ValueError, TypeError):
        return dict(json.loads(read_cached(_MANIFESTS, f"{kind}-{place.name}-contents") or b"{}"))
    return {}


def _keep_manifest(kind: str, place: Path, contents: dict[str, str]) -> None:
    name = f"{kind}-{place.name}"
    manifest = _Manifest(compared=time.time(), paths=list(contents), seal=_seal(place, contents))
    write_cached(_MANIFESTS, f"{name}-contents", json.dumps(contents).encode())
    write_cached(_MANIFESTS, name, json.dumps(asdict(manifest)).encode())


def _seal(place: Path, paths: Iterable[str]) -> str:
    """The change time is the system's own, which no program sets. That of the top changes as it gets its place."""
    try:
        found = [
            (each.st_mode, each.st_size, path == "." or each.st_ctime_ns, each.st_ino)
            for path, each in ((path, os.lstat(f"{place}/{path}")) for path in paths)
        ]
    except OSError:  # one is gone
        return ""
    return hashlib.sha256(repr(found).encode()).hexdigest()


def _contents(top: Path) -> dict[str, str]:
    """Each path in the environment with its content's digest, a link's target, a folder's names."""
    found = {}
    waiting = ["."]
    while waiting:
        folder = waiting.pop()
        names = []
        with os.scandir(top / folder) as entries:
            for entry in entries:
                names.append(entry.name)
                path = f"{folder}/{entry.name}"
                if entry.is_symlink():
                    found[path] = f"link {os.readlink(entry.path)}"  # noqa: PTH115  (one of thousands)
                elif entry.is_dir():
                    waiting.append(path)
                else:
                    mode = entry.stat(follow_symlinks=False).st_mode
                    found[path] = f"{mode:o} {_digest(entry.path)}" if stat.S_ISREG(mode) else f"{mode:o}"
        found[folder] = "folder " + " ".join(sorted(names))
    return found


def _digest(path: str) -> str:
    with open(path, "rb") as file:  # noqa: PTH123  (one of thousands)
        return hashlib.sha256(file.read()).hexdigest()


def _lstat(path: Path) -> os.stat_result | None:
    with contextlib.suppress(OSError):
        return path.lstat()
    return None


@contextlib.contextmanager
def _alone(name: str, tell: Callable[[], None]) -> Iterator[None]:
    """Waits until no other process is here; a lock ends with its process."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(cache_folder(_LOCKS) / name, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
