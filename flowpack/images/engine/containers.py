"""A container of the engine, from its making to its end, through the API."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import requests
from docker import APIClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from flowpack.errors import EngineError
from flowpack.images.engine.endpoint import explanation
from flowpack.images.engine.model import ContainerRequest

_FAULTS = (DockerException, requests.RequestException, OSError)


def create_container(api: APIClient, patient: APIClient, request: ContainerRequest) -> DockerContainer:
    """ImageNotFound where the engine does not have the image; ``patient`` waits for streams as long as it takes."""
    try:
        api.create_container(
            request.image,
            name=request.name,
            environment=dict(request.environment),
            labels=dict(request.labels),
            host_config=api.create_host_config(**request.host),
            use_config_proxy=request.proxies,
            **request.settings,
        )
    except ImageNotFound:
        raise
    except _FAULTS as error:
        raise EngineError(f"no container can be made of {request.image}", detail=explanation(error)) from error
    return DockerContainer(api, patient, request.name)


class DockerContainer:
    def __init__(self, api: APIClient, patient: APIClient, name: str) -> None:
        self.name = name
        self._api = api
        self._patient = patient

    def start(self) -> None:
        with _told(f"the container {self.name} does not start"):
            self._api.start(self.name)

    def is_running(self) -> bool:
        try:
            return bool(self._api.inspect_container(self.name)["State"]["Running"])
        except _FAULTS:
            return False

    def wait(self, timeout: int | None = None) -> int:
        try:
            return int(self._patient.wait(self.name, timeout=timeout)["StatusCode"])
        except requests.ReadTimeout as error:
            raise EngineError(f"the container did not end within {timeout} s") from error
        except _FAULTS as error:
            raise EngineError("the engine went away while a container ran", detail=explanation(error)) from error

    def logs(self, tail: int | None = None) -> str:
        try:
            said: bytes = self._api.logs(self.name, tail="all" if tail is None else tail)
        except _FAULTS as error:
            return explanation(error)
        return said.decode("utf-8", errors="replace")

    def follow(self, on_line: Callable[[str], None]) -> int:
        try:
            for line in _lines(self._patient.logs(self.name, stream=True, follow=True)):
                on_line(line)
            return self.wait()
        except NotFound:
            return 0  # somebody has taken it away
        except _FAULTS as error:
            raise EngineError("the engine went away while a container ran", detail=explanation(error)) from error

    def published_port(self, port: int) -> int | None:
        ports = self._api.inspect_container(self.name)["NetworkSettings"]["Ports"] or {}
        bound = ports.get(f"{port}/tcp") or ()
        return int(bound[0]["HostPort"]) if bound else None

    def copy_out(self, path: str, folder: Path) -> Path:
        with _told(f"{path} cannot be copied out of the container"):
            parts, _ = self._patient.get_archive(self.name, path)
            with tarfile.open(fileobj=_Stream(parts), mode="r|") as archive:
                for member in archive:
                    _unpack(archive, member, folder)
        return folder / Path(path).name

    def copy_in(self, folder: Path, path: str) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for each in sorted(folder.rglob("*")):
                archive.add(each, each.relative_to(folder).as_posix(), recursive=False, filter=_of_root)
        packed.seek(0)
        with _told("files cannot be copied into the container"):
            self._api.put_archive(self.name, path, packed)

    def stop(self, patience: int) -> None:
        with contextlib.suppress(*_FAULTS):
            self._patient.stop(self.name, timeout=patience)

    def remove(self) -> None:
        with contextlib.suppress(*_FAULTS):
            self._api.remove_container(self.name, v=True, force=True)


@contextlib.contextmanager
def _told(message: str) -> Iterator[None]:
    try:
        yield
    except (*_FAULTS, tarfile.TarError) as error:
        words = explanation(error)
        raise EngineError(message, detail=words, hint=_hint_for(words)) from error


def _hint_for(words: str) -> str | None:
    if "port is already allocated" in words or "address already in use" in words:
        return "choose another port with --port"
    return None


def _lines(parts: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from (line.decode("utf-8", errors="replace") for line in whole)
    if rest:
        yield rest.decode("utf-8", errors="replace")


def _of_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """What a container holds is a stranger's: files and folders alone, and none outside of ``folder``."""
    target = folder / member.name
    if not (member.isfile() or member.isdir()) or ".." in target.parts or member.name.startswith("/"):
        raise tarfile.TarError(f"'{member.name}' is neither a file nor a folder")
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    content = archive.extractfile(member)
    assert content is not None  # noqa: S101  (a file)
    with target.open("xb") as file:
        while part := content.read(1024 * 1024):
            file.write(part)
    target.chmod(0o755 if member.mode & 0o100 else 0o644)


class _Stream(io.RawIOBase):
    """An iterator of bytes as a file that is read once."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            part = next(self._parts, None)
            if part is None:
                break
            self._rest += part
        size = len(self._rest) if size < 0 else size
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


__all__ = ["APIError", "DockerContainer", "ImageNotFound", "create_container"]
