"""Finds and downloads a source distribution without running it: a separate program for the interpreter that has pip.

``fetch_source.py WANTED FOLDER`` reads a request from a JSON file, asks the indexes as pip does (with its
configuration, credentials and certificates), saves the file in the folder, and prints JSON on stdout. pip's own
`download` would run the setup.py of the package to get its metadata.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pip._internal.commands import create_command
from pip._internal.exceptions import PipError
from pip._internal.models.link import Link
from pip._internal.models.target_python import TargetPython
from pip._internal.req.req_file import parse_requirements
from pip._vendor.packaging.specifiers import SpecifierSet
from pip._vendor.packaging.utils import canonicalize_name, parse_sdist_filename
from pip._vendor.packaging.version import Version
from pip._vendor.requests.exceptions import RequestException

LARGEST = 1024 * 1024 * 1024
_LARGEST_PROJECT = 1024 * 1024
_MOST_FILES = 100_000
_CHUNK = 1024 * 1024
_SETUPTOOLS = ["setuptools>=40.8.0", "wheel"]
_SDIST = (".tar.gz", ".tgz", ".zip")


class NothingError(Exception):
    """The source distribution is not available; the text says why."""


def main(wanted_file: str, folder: str) -> int:
    wanted = json.loads(Path(wanted_file).read_text("utf-8"))

    try:
        answer = fetch(wanted, Path(folder))
    except (NothingError, PipError, RequestException) as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))
    return 0


def fetch(wanted: dict[str, Any], folder: Path) -> dict[str, Any]:
    command: Any = create_command("download")
    options, _ = command.parse_args(["--no-deps", "--disable-pip-version-check", "--no-input", *wanted["arguments"]])
    version = tuple(int(part) for part in wanted["python"].split("."))
    abi = f"cp{version[0]}{version[1]}"
    target = TargetPython(platforms=wanted["platforms"], py_version_info=version, abis=[abi], implementation="cp")
    with command.main_context():
        session = command.get_default_session(options)
        finder = command._build_package_finder(options=options, session=session, target_python=target)
        for _ in parse_requirements(wanted["index_options"], session=session, finder=finder, options=options):
            pass
        if wanted["url"]:
            link = Link(wanted["url"])
            return _described(_saved(link, session, folder, wanted), wanted, None)
        candidate, has_wheel = _chosen(finder, wanted)
        if has_wheel:
            return {"wheel": str(candidate.version)}
        return _described(_saved(candidate.link, session, folder, wanted), wanted, str(candidate.version))


def _chosen(finder: Any, wanted: dict[str, Any]) -> tuple[Any, bool]:
    """The candidate, and whether it is a wheel. Chooses the preferred version if it fits, else the newest."""

    specifiers = SpecifierSet(wanted["specifiers"])
    found = [each for each in finder.find_all_candidates(wanted["name"]) if not each.link.is_yanked]
    fitting = list(specifiers.filter([str(each.version) for each in found], prereleases=wanted["pre"] or None))
    if not fitting:
        raise NothingError(f"no index has '{wanted['name']}{wanted['specifiers']}'")
    preferred = wanted["preferred"]
    version = Version(preferred) if preferred in fitting else max(map(Version, fitting))
    files = [each for each in found if each.version == version]
    wheel = next((each for each in files if each.link.is_wheel), None)
    if wheel and not wanted["no_binary"]:
        return wheel, True
    sources = [each for each in files if each.link.filename.endswith(_SDIST)]
    if not sources:
        raise NothingError(f"'{wanted['name']}' {version} has no source distribution")
    return sources[0], False


def _saved(link: Any, session: Any, folder: Path, wanted: dict[str, Any]) -> Path:
    name = re.sub(r"[^A-Za-z0-9._+!-]", "_", link.filename)
    if not name.endswith(_SDIST) or name.startswith("."):
        raise NothingError(f"'{link.filename}' is not a source distribution")
    path = folder / name
    summed = hashlib.sha256()
    response = session.get(link.url_without_fragment, headers={"Accept-Encoding": "identity"}, stream=True)
    response.raise_for_status()
    size = 0
    with path.open("xb") as file:
        while part := response.raw.read(_CHUNK):
            size += len(part)
            if size > LARGEST:
                raise NothingError(f"'{name}' is larger than {LARGEST // 2**20} MB")
            summed.update(part)
            file.write(part)
    stated = link.hash if link.hash_name == "sha256" else None
    if stated and stated != summed.hexdigest():
        raise NothingError(f"'{name}' does not match the hash that its index states")
    allowed = [each.partition(":") for each in wanted["hashes"]]
    if allowed and not any(_digest(path, algorithm) == digest for algorithm, _, digest in allowed):
        raise NothingError(f"'{name}' matches none of the given hashes")
    return path


def _described(path: Path, wanted: dict[str, Any], version: str | None) -> dict[str, Any]:
    return {
        "file": path.name,
        "version": version or _version_of(path.name, wanted["name"]),
        "sha256": _digest(path, "sha256"),
        "requires": build_requirements(path),
    }


def _digest(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    with path.open("rb") as file:
        while part := file.read(_CHUNK):
            digest.update(part)
    return digest.hexdigest()


def _version_of(file: str, name: str) -> str:
    try:
        found, version = parse_sdist_filename(file.replace(".tgz", ".tar.gz"))
    except ValueError:
        raise NothingError(f"'{file}' has no version in its name") from None
    if found != canonicalize_name(name):
        raise NothingError(f"'{file}' is not a file of '{name}'")
    return str(version)


def build_requirements(path: Path) -> list[str]:
    """The build requirements in the archive's pyproject.toml; setuptools if it has none."""
    text = next(_project_files(path), None)
    if text is None:
        return _SETUPTOOLS
    try:
        toml = importlib.import_module("tomllib")
    except ImportError:  # Python 3.10; pip bundles its own
        toml = importlib.import_module("pip._vendor.tomli")
    try:
        system = toml.loads(text.decode("utf-8")).get("build-system")
    except (ValueError, RecursionError):
        raise NothingError(f"the pyproject.toml of '{path.name}' cannot be read") from None
    if system is None:
        return _SETUPTOOLS
    requires = system.get("requires") if isinstance(system, dict) else None
    if not isinstance(requires, list) or not all(isinstance(each, str) for each in requires):
        raise NothingError(f"the pyproject.toml of '{path.name}' does not list its build requirements")
    uses_setuptools = any(re.match(r"\s*setuptools\b", each, re.I) for each in requires)
    return [*requires, "wheel"] if uses_setuptools else requires


def _project_files(path: Path) -> Iterator[bytes]:
    try:
        if path.name.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                for info in archive.infolist()[:_MOST_FILES]:
                    if _is_project(info.filename) and info.file_size <= _LARGEST_PROJECT:
                        yield archive.read(info)
            return
        seen = 0
        with tarfile.open(path, "r:*") as tar:
            for number, member in enumerate(tar):
                seen += member.size
                if number > _MOST_FILES or seen > 4 * LARGEST:
                    raise NothingError(f"'{path.name}' contains too many files or too much data")
                file = tar.extractfile(member) if member.isfile() and _is_project(member.name) else None
                if file is not None and member.size <= _LARGEST_PROJECT:
                    yield file.read()
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError, RuntimeError):
        raise NothingError(f"'{path.name}' is not a readable archive") from None


def _is_project(name: str) -> bool:
    return re.fullmatch(r"(?:\./)?[^/]+/pyproject\.toml", name) is not None


if __name__ == "__main__":
    if not sys.flags.isolated:
        sys.path.pop(0)
    sys.exit(main(*sys.argv[1:]))
