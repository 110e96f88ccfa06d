"""A registry of models that is a folder: ``<model>/<version>/`` with ``model.yaml`` and the folder that it names.

A version appears by one rename of a folder that is complete and on disk, so that a reader sees it whole or not at all,
and of two writers of one version the second is refused by the file system. A lock that ends with its process spares
writers of one model the race, and tells which half-written folders are a crash's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from flowpack.azureml.models.document import MODEL_FILE, ModelDocument
from flowpack.azureml.models.registry import ModelVersion, VersionTaken
from flowpack.documents.yaml_documents import dump, read_document
from flowpack.errors import AzureError, InputError, Location
from flowpack.writing import reason_of, replace_file

if sys.platform != "win32":
    import fcntl

_LOCK = ".lock"
_UNFINISHED = ".unfinished-"
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY}


class LocalRegistry:
    def __init__(self, root: Path) -> None:
        self.root = root

    def __str__(self) -> str:
        return f"the local registry {self.root}"

    def names(self) -> list[str]:
        return sorted(path.name for path in _folders(self.root) if _version_folders(path))

    def versions(self, name: str) -> list[ModelVersion]:
        return [_read(path) for path in _version_folders(self.root / name)]

    def next_number(self, name: str) -> int:
        return max((each.number for each in self.versions(name)), default=0) + 1

    def create(self, document: ModelDocument, folder: Path) -> ModelVersion:
        assert document.version is not None  # noqa: S101  (the registration gives one)
        model = self.root / document.name
        target = model / document.version
        with _writing(model):
            unfinished = model / f"{_UNFINISHED}{os.urandom(6).hex()}"
            try:
                shutil.copytree(folder, unfinished / folder.name)
                (unfinished / MODEL_FILE).write_bytes(document.text().encode())
                _to_disk(unfinished)
                _claim(unfinished, target)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
        return _read(target)

    def update(self, version: ModelVersion) -> None:
        path = self.root / version.name / version.version / MODEL_FILE
        with _writing(path.parents[1]):
            fields = dict(read_document(path, within=[path.parent.resolve()]).root.data)
            fields |= {"description": version.description, "tags": dict(sorted(version.tags.items()))}
            replace_file(path, dump({name: value for name, value in fields.items() if value}))


def _claim(unfinished: Path, target: Path) -> None:
    if target.exists():  # an empty folder could be renamed over
        raise VersionTaken
    try:
        unfinished.rename(target)
    except OSError as error:
        if error.errno in _TAKEN:
            raise VersionTaken from error
        raise
    _sync(target.parent)


def _read(folder: Path) -> ModelVersion:
    path = folder / MODEL_FILE
    fields = read_document(path, within=[folder.resolve()]).root.data
    try:
        return ModelVersion(
            name=fields["name"],
            version=fields["version"],
            id=str(folder.absolute()),
            path=str((folder / fields["path"]).absolute()),
            properties=fields.get("properties", {}),
            tags=fields.get("tags", {}),
            description=fields.get("description"),
        )
    except (KeyError, TypeError) as error:
        raise InputError(
            "is not a model version", location=Location(path), hint="remove this version's folder"
        ) from error


def _version_folders(model: Path) -> list[Path]:
    return [path for path in _folders(model) if path.name.isdecimal()]


def _folders(path: Path) -> list[Path]:
    try:
        found = [each for each in path.iterdir() if not each.name.startswith(".") and each.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise AzureError(f"cannot be read: {error.strerror}", location=Location(path)) from error
    return sorted(found, key=lambda each: (len(each.name), each.name))


@contextlib.contextmanager
def _writing(model: Path) -> Iterator[None]:
    """One writer of a model at a time; what a killed one left is removed."""
    try:
        model.mkdir(parents=True, exist_ok=True)
        with _locked(model / _LOCK):
            for left in model.glob(f"{_UNFINISHED}*"):
                shutil.rmtree(left, ignore_errors=True)
            yield
    except OSError as error:
        raise AzureError(f"cannot write here: {reason_of(error)}", location=Location(model)) from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    if sys.platform == "win32":
        yield  # the rename alone decides between two writers
        return
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _to_disk(top: Path) -> None:
    for folder, _, names in os.walk(top):
        for name in names:
            _sync(Path(folder, name))
        _sync(Path(folder))


def _sync(path: Path) -> None:
    if sys.platform == "win32" and path.is_dir():
        return  # it opens no folders
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
