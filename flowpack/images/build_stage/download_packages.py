"""Fetches the wheels of a lock into a folder: ``download_packages.py LOCK FOLDER [CACHE]``, by a Python that has pip.

Of the image's steps this one alone has the build's secrets, the network and the cache, and nothing of a package runs in
it: wheels are stored and not unpacked, and a source distribution is refused. The cache is shared by all builds, and
whoever writes a Dockerfile may write into it, so an archive of it counts only where its hash is one of the lock's.

Of a hundred packages pip takes half a minute to fetch what fetch_by_hash.py fetches in three seconds. pip fetches what
that leaves, and its words are those that the build fails with.

Written for Python 3.9: it runs in the image's base.
"""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.tags import parse_tag, sys_tags
from pip._vendor.packaging.utils import canonicalize_name

PACKAGES = "packages.txt"
INSTALLER = "installer"

_HERE = Path(__file__).parent
_UV_LOCK = _HERE / "uv.lock"
_BY_HASH = _HERE / "fetch_by_hash.py"
_BUILT = _HERE / "wheels"  # wheels that flowpack built from source distributions come with the build's context
_PIP = (sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input")
_WHEELS_ONLY = ("--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-cache-dir")
# What a lock may tell pip. Another option, --no-binary say, could undo that wheels alone are taken.
_OPTIONS = re.compile(r"--(?:index-url|extra-index-url|find-links|trusted-host|no-index|pre|prefer-binary)(?=[ =]|$)")
_OF_THE_INDEX = (
    *("index-url", "extra-index-url", "find-links", "no-index", "trusted-host"),
    *("cert", "client-cert", "proxy", "timeout", "retries"),
)
_HASH = re.compile(r"--hash[= ]sha256:([0-9a-f]{64})(?=\s|$)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_WHEEL = re.compile(r"\w[\w.]*-\w[\w.!+]*(?:-\d[\w.]*)?(?:-\w[\w.]*){3}\.whl", re.ASCII)
_CHUNK = 1024 * 1024
_FEWEST_FOR_ONE_PIP = 4
_FIRST_NAMES = 3


class RefusedError(Exception):
    """The lock asks for more than wheels."""


@dataclass(frozen=True)
class Package:
    """An entry of the lock: the part before its hashes, and the hashes in hex."""

    requirement: str
    hashes: frozenset[str]

    @property
    def text(self) -> str:
        return " ".join([self.requirement, *(f"--hash=sha256:{each}" for each in sorted(self.hashes))])

    @property
    def key(self) -> str:
        """Equal for the same entry on the same Python and machine: what a cached archive is found by."""
        return hashlib.sha256("\n".join([self.text, _machine()]).encode()).hexdigest()


def main(lock: str, folder: str, cache: str = "") -> int:
    place = Path(folder)
    (place / INSTALLER).mkdir(parents=True)
    kept = Path(cache) if cache else None
    try:
        options, packages = read_lock(Path(lock).read_text(encoding="utf-8"))
        words = fetch(packages, options, place, kept)
    except RefusedError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    if words:
        print(words, file=sys.stderr)
        return 1
    (place / PACKAGES).write_text("".join(f"{line}\n" for line in _installable(packages, place)), encoding="utf-8")
    # Without uv pip installs, so an index without it stops nothing.
    fetch(read_lock(_UV_LOCK.read_text(encoding="utf-8"))[1], [], place / INSTALLER, kept)
    return 0


def read_lock(text: str) -> tuple[list[str], list[Package]]:
    """The options and the entries of a lock; RefusedError where an entry could be anything but a wheel."""
    options, packages = [], []
    for line in re.sub(r"\\\n", " ", text.replace("\r\n", "\n")).split("\n"):
        entry = re.sub(r"(?:^|\s)#.*", "", line).strip()
        if not entry:
            continue
        if entry.startswith("-"):
            if not _OPTIONS.match(entry):
                raise RefusedError(f"the lock has the option {entry.split()[0]}, which no lock of flowpack's has")
            options.append(entry)
            continue
        requirement = re.split(r"\s--", entry, maxsplit=1)[0].strip()
        name = _NAME.match(requirement)
        hashes = frozenset(_HASH.findall(entry))
        if name is None or not hashes or _HASH.sub("", entry).strip() != requirement:
            raise RefusedError(f"'{requirement}' of the lock is not a package with its hashes")
        url = re.search(r"@\s*(\S+)", requirement)
        if url and not unquote(urlsplit(url[1]).path).endswith(".whl"):
            raise RefusedError(
                f"'{name[0]}' of the lock is a source distribution, and building it would run its author's code:"
                f" `flowpack lock --allow-source {name[0]}` builds a wheel of it apart"
            )
        packages.append(Package(requirement, hashes))
    return options, packages


def fetch(packages: list[Package], options: list[str], folder: Path, cache: Path | None) -> str:
    """Puts a wheel of each package into the folder; gives pip's words where it fails."""
    built = {sha256_of(path): path for path in sorted(_BUILT.glob("*.whl"))} if _BUILT.is_dir() else {}
    missing = []
    for package in packages:
        own = next((built[each] for each in package.hashes if each in built), None)
        if own is not None:
            shutil.copyfile(own, folder / own.name)
        elif cache is None or not take_cached(package, cache, folder):
            missing.append(package)
    if not missing:
        return ""
    with tempfile.TemporaryDirectory(dir=folder) as passing:
        by_hash = Path(passing, "by-hash")
        _fetch_by_hash(missing, options, by_hash)
        missing = _take(missing, by_hash, folder, cache, _fits)
        if not missing:
            return ""
        print(f"left to pip: {_names(missing)}", flush=True)
        by_pip = Path(passing, "by-pip")
        words = _fetch_by_pip(missing, options, by_pip)
        if not words and (without := _take(missing, by_pip, folder, cache)):
            words = f"pip fetched no wheel of {_names(without)}"
    return words


def _fetch_by_hash(packages: list[Package], options: list[str], share: Path) -> None:
    """Its exit status is ignored: only the wheels that it leaves matter."""
    wanted = _write_wanted(packages, options, share)
    command = [sys.executable, "-I", str(_BY_HASH), str(wanted), str(share)]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, cwd=share)


def _fetch_by_pip(packages: list[Package], options: list[str], folder: Path) -> str:
    """Several pips at once; their wheels are in the folder afterwards, or their words are the answer."""
    folder.mkdir()
    settings = install_settings()
    at_once = max(1, min(8, 2 * (os.cpu_count() or 1), len(packages) // _FEWEST_FOR_ONE_PIP))
    shares = [folder / str(number) for number in range(at_once)]
    wanted = [packages[number::at_once] for number in range(at_once)]
    with ThreadPoolExecutor(at_once) as pool:
        said = list(pool.map(lambda share, some: _download(some, options, share, settings), shares, wanted))
    for path in [path for share in shares for path in share.glob("*.whl")]:
        path.rename(folder / path.name)
    return next(filter(None, said), "")


def _take(
    packages: list[Package],
    share: Path,
    folder: Path,
    cache: Path | None,
    fits: Callable[[Package, str], bool] | None = None,
) -> list[Package]:
    """Moves the packages' wheels from the share into the folder; gives the packages that had none there."""
    by_hash = {each: package for package in packages for each in package.hashes}
    taken = []
    for path in sorted(share.glob("*.whl")):
        package = by_hash.get(sha256_of(path))
        if package is None or package in taken or not (fits is None or fits(package, path.name)):
            continue
        if cache is not None:
            keep(package, path, cache)
        path.rename(folder / path.name)
        taken.append(package)
    return [package for package in packages if package not in taken]


def take_cached(package: Package, cache: Path, folder: Path) -> bool:
    """Copies first and sums up the copy: the cache may change at any moment."""
    for name in sorted(path.name for path in cache.iterdir()):
        wheel = name[len(package.key) + 1 :]
        if not name.startswith(f"{package.key}-") or not _fits(package, wheel):
            continue
        digest = _copied(cache / name, folder / wheel)
        if digest in package.hashes:
            return True
        if digest is not None:
            (folder / wheel).unlink()
    return False


def keep(package: Package, wheel: Path, cache: Path) -> None:
    """Under a passing name first, so that no other build finds half an archive. A full cache stops nothing."""
    passing = cache / f".{secrets.token_hex(8)}"
    try:
        if _copied(wheel, passing) is not None:
            passing.replace(cache / f"{package.key}-{wheel.name}")
    except OSError:
        passing.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    summed = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_CHUNK):
            summed.update(part)
    return summed.hexdigest()


def _copied(source: Path, target: Path) -> str | None:
    """The SHA-256 of what was copied; None, and no copy, where the source is not a regular file."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        summed = hashlib.sha256()
        with target.open("xb") as copy:
            while part := file.read(_CHUNK):
                summed.update(part)
                copy.write(part)
    return summed.hexdigest()


def install_settings() -> dict[str, str]:
    """What pip's configuration says for `install` alone, as variables, since it is `download` that runs here."""
    listed = subprocess.run([*_PIP, "config", "list"], capture_output=True, text=True, check=False).stdout
    found = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.partition(".")
        variable = f"PIP_{option.upper().replace('-', '_')}"
        if section == "install" and option in _OF_THE_INDEX and variable not in os.environ:
            found[variable] = " ".join(str(ast.literal_eval(value)).split())
    return found


def _download(packages: list[Package], options: list[str], share: Path, settings: dict[str, str]) -> str:
    wanted = _write_wanted(packages, options, share)
    log = share / "log.txt"
    command = [*_PIP, "--log", str(log), "download", *_WHEELS_ONLY, "--dest", str(share), "-r", str(wanted)]
    environment = {**os.environ, **settings}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=share)
    if done.returncode == 0:
        return ""
    unanswered = _unanswered(log)
    words = "\n".join([*unanswered, done.stderr.strip() or f"pip ended with exit status {done.returncode}"])
    words = words.replace(f" (from -r {wanted} ", " (from the lock, ")
    without = re.search(r"No matching distribution found for ([A-Za-z0-9._-]+)", words)
    if without and not unanswered:
        words += (
            f"\nIf '{without[1]}' has no wheel, building its source distribution would run its author's code:"
            f" `flowpack lock --upgrade --allow-source {without[1]}` builds a wheel of it apart"
        )
    return words


def _write_wanted(packages: list[Package], options: list[str], share: Path) -> Path:
    share.mkdir()
    wanted = share / "wanted.txt"
    wanted.write_text("".join(f"{line}\n" for line in [*options, *(each.text for each in packages)]), encoding="utf-8")
    return wanted


def _unanswered(log: Path) -> list[str]:
    """pip tells its log alone that an index did not answer, and goes on as if that had no packages."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    told = re.findall(r"Could not fetch URL .*", text)
    return list(dict.fromkeys(line for line in told if ": 404 Client Error" not in line))[:3]


def _installable(packages: list[Package], folder: Path) -> list[str]:
    """One line a package with the hash of the wheel that is there: what is installed needs no index."""
    wheels = {sha256_of(path): path.name for path in sorted(folder.glob("*.whl"))}
    lines = []
    for package in packages:
        for digest in sorted(package.hashes & wheels.keys()):
            name, version = wheels[digest].split("-")[:2]
            requirement = f"{name}=={version}" if "@" in package.requirement else package.requirement
            lines.append(f"{requirement} --hash=sha256:{digest}")
    return lines


def _fits(package: Package, wheel: str) -> bool:
    """Whether a wheel is of this package and for this Python; whoever gave it may have forged its name."""
    if not _WHEEL.fullmatch(wheel):
        return False
    name, version, *_, python, abi, platform = wheel[: -len(".whl")].split("-")
    try:
        wanted = Requirement(package.requirement)
        same = canonicalize_name(name) == canonicalize_name(wanted.name) and wanted.specifier.contains(version, True)
    except ValueError:
        return False
    return same and not parse_tag(f"{python}-{abi}-{platform}").isdisjoint(_own_tags())


@cache
def _own_tags() -> frozenset[object]:
    return frozenset(sys_tags())


def _names(packages: list[Package]) -> str:
    """Without the URLs, which may hold a password."""
    first = [re.split(r"[^A-Za-z0-9._-]", each.requirement, maxsplit=1)[0] for each in packages[:_FIRST_NAMES]]
    more = len(packages) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")


@cache
def _machine() -> str:
    return " ".join([sys.implementation.cache_tag or "", platform.machine(), *platform.libc_ver()])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
