"""Lists the modules of wheels without fetching them whole: a program of its own, by the interpreter that has pip.

``list_modules.py WANTED`` reads pins from a JSON file, asks the indexes as pip does (with its configuration,
credentials and certificates), reads of each wheel the listing at its end, and prints JSON on stdout. A wheel whose
server sends no parts of files is left out.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pip._internal.commands import create_command
from pip._internal.exceptions import PipError
from pip._internal.models.target_python import TargetPython
from pip._internal.network.lazy_wheel import HTTPRangeRequestUnsupported, LazyZipOverHTTP
from pip._internal.req.req_file import parse_requirements
from pip._vendor.requests.exceptions import RequestException

_AT_ONCE = 8
_DEEPEST = 4
_MOST_MODULES = 40
_SMALL = 512
"""Bytes of an ``__init__.py`` that does no more than open a namespace."""


def main(wanted_file: str) -> int:
    wanted = json.loads(Path(wanted_file).read_text("utf-8"))
    command: Any = create_command("download")
    options, _ = command.parse_args(["--no-deps", "--disable-pip-version-check", "--no-input", "--quiet"])
    version = tuple(int(part) for part in wanted["python"].split("."))
    abi = f"cp{version[0]}{version[1]}"
    target = TargetPython(platforms=wanted["platforms"], py_version_info=version, abis=[abi], implementation="cp")
    with command.main_context():
        session = command.get_default_session(options)
        finder = command._build_package_finder(options=options, session=session, target_python=target)
        for _ in parse_requirements(wanted["index_options"], session=session, finder=finder, options=options):
            pass
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = pool.map(lambda pin: _modules_of(pin, finder, session), wanted["pins"])
            listed = {pin["name"]: modules for pin, modules in zip(wanted["pins"], found, strict=True) if modules}
    print(json.dumps(listed))
    return 0


def _modules_of(pin: dict[str, Any], finder: Any, session: Any) -> list[str] | None:
    try:
        candidates = finder.find_all_candidates(pin["name"])
        links = (each.link for each in candidates if each.link.is_wheel and str(each.version) == pin["version"])
        link = next((each for each in links if _hash(each) in pin["hashes"]), None)
        if link is None:
            return None
        if link.is_file:
            with zipfile.ZipFile(link.file_path) as archive:
                return modules(_files(archive))
        with LazyZipOverHTTP(link.url_without_fragment, session) as lazy:
            return modules(_files(zipfile.ZipFile(lazy)))
    except (HTTPRangeRequestUnsupported, PipError, RequestException, zipfile.BadZipFile, OSError, ValueError):
        return None


def _hash(link: Any) -> str:
    """Of a wheel in a folder nobody states it."""
    if link.is_file and not link.hash:
        return "sha256:" + hashlib.sha256(Path(link.file_path).read_bytes()).hexdigest()
    return f"sha256:{link.hash}"


def _files(archive: zipfile.ZipFile) -> dict[str, int]:
    return {info.filename: info.file_size for info in archive.infolist()}


def modules(files: dict[str, int]) -> list[str] | None:
    """The names that can be imported, of a namespace those in it; None of a wheel with more of them than a lock lists.

    ``files`` has each file's size.
    """
    tree: dict[str, Any] = {}
    for name, size in files.items():
        parts = name.split("/")
        if parts[0].endswith(".data"):
            parts = parts[2:] if parts[1:2] in (["purelib"], ["platlib"]) else []
        if not parts or parts[0].endswith(".dist-info") or not parts[-1].endswith((".py", ".so", ".pyc")):
            continue
        folder = tree
        for part in parts[:-1]:
            folder = folder.setdefault(part, {})
        folder[parts[-1]] = size
    found = sorted(set(_importable(tree, "", 0)))
    return found if len(found) <= _MOST_MODULES else sorted({name.partition(".")[0] for name in found})[:_MOST_MODULES]


def _importable(folder: dict[str, Any], prefix: str, depth: int) -> list[str]:
    found: list[str] = []
    for name, inside in folder.items():
        if not isinstance(inside, dict):
            module = name.partition(".")[0]
            found += [f"{prefix}{module}"] if module != "__init__" and module.isidentifier() else []
        elif name.isidentifier():
            is_namespace = depth < _DEEPEST and _is_namespace(inside)
            below = _importable(inside, f"{prefix}{name}.", depth + 1) if is_namespace else []
            found += below or [f"{prefix}{name}"]
    return found


def _is_namespace(folder: dict[str, Any]) -> bool:
    files = {name: size for name, size in folder.items() if not isinstance(size, dict)}
    return not files or (set(files) == {"__init__.py"} and files["__init__.py"] <= _SMALL)


if __name__ == "__main__":
    if not sys.flags.isolated:
        sys.path.pop(0)
    sys.exit(main(*sys.argv[1:]))
