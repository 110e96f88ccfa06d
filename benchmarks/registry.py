"""A registry on the loopback for as long as a benchmark lasts, and how many bytes it holds."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TYPES = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Registry:
    host: str
    store: Path

    def stored(self) -> int:
        """Bytes of all its blobs: layers, configurations and manifests."""
        return sum(path.stat().st_size for path in self.store.glob("docker/registry/v2/blobs/*/*/*/data"))

    def compressed_size(self, repository: str, tag: str) -> int:
        """What a machine that has nothing yet downloads."""
        manifest = json.loads(self._get(f"/v2/{repository}/manifests/{tag}"))
        parts: list[dict[str, Any]] = [manifest["config"], *manifest["layers"]]
        return sum(part["size"] for part in parts)

    def _get(self, path: str) -> bytes:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        request = urllib.request.Request(f"http://{self.host}{path}", headers={"Accept": _TYPES})
        with direct.open(request, timeout=30) as response:
            return bytes(response.read())

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            self._get("/v2/")
            return True
        return False


@contextlib.contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    program = shutil.which("docker-registry")
    if program is None:
        raise SystemExit("there is no 'docker-registry' program; 'scripts/real-parts up' installs it on Debian")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    folder.mkdir()
    configuration = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "store")}},
        "http": {"addr": host},
    }
    (folder / "config.yml").write_text(json.dumps(configuration))  # JSON is YAML
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
        try:
            found = Registry(host, folder / "store")
            deadline = time.monotonic() + 30
            while not found.answers():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"docker-registry did not start\n{(folder / 'log').read_text()}")
                time.sleep(0.1)
            yield found
        finally:
            process.terminate()
            process.wait(timeout=30)
