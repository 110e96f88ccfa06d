"""A package index of tiny wheels, made on the spot: what a resolver meets here is the same on every machine."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path

DAWN = (1980, 1, 1, 0, 0, 0)


def write_wheel(
    folder: Path, name: str, version: str, requires: Iterable[str] = (), *, tag: str = "py3-none-any"
) -> Path:
    """A wheel with one module of the package's name."""
    folder.mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    for each in requires:
        metadata += [f"Requires-Dist: {each}"]
        metadata += [f"Provides-Extra: {extra}" for extra in re.findall(r"extra == '(.+)'", each)]
    path = folder / f"{module}-{version}-{tag}.whl"
    files = {
        f"{module}.py": f"version = {version!r}\n",
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(f"{name},sha256={_record_hash(text)},{len(text)}\n" for name, text in files.items())
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(zipfile.ZipInfo(file, DAWN), text)
    return path


def write_sdist(folder: Path, name: str, version: str, files: Mapping[str, str] | None = None) -> Path:
    """A source distribution of one module, built by setuptools; ``files`` are beside its setup.py, or instead of it."""
    folder.mkdir(parents=True, exist_ok=True)
    module = name.replace("-", "_")
    inside = {
        "setup.py": "from setuptools import setup\n"
        f"setup(name={name!r}, version={version!r}, py_modules=[{module!r}])\n",
        "PKG-INFO": f"Metadata-Version: 1.0\nName: {name}\nVersion: {version}\n",
        f"{module}.py": f"version = {version!r}\n",
        **(files or {}),
    }
    path = folder / f"{module}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for file, text in inside.items():
            member = tarfile.TarInfo(f"{module}-{version}/{file}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def _record_hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def sha256(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def write_serving_wheels(folder: Path) -> None:
    """Stand-ins for what flowpack adds."""
    write_wheel(folder, "promptflow-tracing", "1.18.5")
    write_wheel(folder, "promptflow-core", "1.17.2")
    write_wheel(folder, "promptflow-core", "1.18.5", ["promptflow-tracing==1.18.5", "starlette<0.50"])
    write_wheel(folder, "promptflow", "1.18.5", ["promptflow-core==1.18.5"])
    write_wheel(folder, "promptflow-tools", "1.6.1", ["promptflow>=1.6"])
    for name in ("flask-cors", "httpx", "gunicorn", "uvicorn", "starlette"):
        write_wheel(folder, name, "0.1")


class SimpleIndex(BaseHTTPRequestHandler):
    """The simple index (PEP 503) of a folder of wheels, behind a password; ``status`` is the answer to every page."""

    wheels: Path
    credentials: str | None = None
    status = 200
    headers_seen: list[str] | None = None

    def do_GET(self) -> None:
        if self.headers_seen is not None:
            self.headers_seen += [self.requestline, *(f"{name}: {value}" for name, value in self.headers.items())]
        status = self.status if self._may_read() else 401
        body = self._body() if status == 200 else b""
        self.send_response(404 if body is None else status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="packages"')
        self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    do_HEAD = do_GET

    def log_message(self, *arguments: object) -> None:
        pass

    def _may_read(self) -> bool:
        if self.credentials is None:
            return True
        return self.headers.get("Authorization") == f"Basic {base64.b64encode(self.credentials.encode()).decode()}"

    def _body(self) -> bytes | None:
        parts = [part for part in self.path.split("/") if part]
        if len(parts) == 2 and parts[0] == "files":
            path = self.wheels / parts[1]
            return path.read_bytes() if path.is_file() else None
        if len(parts) != 2 or parts[0] != "simple":
            return None
        stem = parts[1].replace("-", "_")
        archives = [path for end in ("whl", "tar.gz") for path in sorted(self.wheels.glob(f"{stem}-*.{end}"))]
        links = [
            f'<a href="/files/{path.name}#{sha256(path).replace(":", "=")}">{path.name}</a><br>' for path in archives
        ]
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode() if links else None
