"""Serves an image in a container of an engine."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flowpack.images.engine.model import Container, ContainerRequest, Engine
from flowpack.images.plan import PORT
from flowpack.reporting import SILENT, Reporter
from flowpack.running.health import wait_for_health
from flowpack.running.processes import checked_free, free_port
from flowpack.running.served import Served, stopped_at_the_end

_PATIENCE_AT_THE_END = 10
_NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})


@contextlib.contextmanager
def serve_in_container(
    engine: Engine,
    image: str,
    *,
    environment: Mapping[str, str],
    port: int | None = None,
    network: str | None = None,
    host: Mapping[str, Any] = _NO_SETTINGS,
    settings: Mapping[str, Any] = _NO_SETTINGS,
    timeout: float = 120.0,
    reporter: Reporter = SILENT,
) -> Iterator[Served]:
    """Healthy when the block begins, stopped and removed when it ends. ``host`` and ``settings`` are as in
    ``ContainerRequest``.

    The container reaches this machine as ``host.docker.internal``, and is published on the loopback address alone
    where the engine is this machine's.
    """
    hosts_network = network == "host"
    if hosts_network:
        port = checked_free(port) if port else free_port()
        environment = {**environment, "FLOWPACK_HOST": "127.0.0.1", "FLOWPACK_PORT": str(port)}
    request = ContainerRequest(
        image=image,
        name=f"flowpack-{secrets.token_hex(6)}",
        environment=environment,
        labels={"flowpack.run": "1"},
        host={**_network(engine, port, network), **host},
        settings={**({} if hosts_network else {"ports": [PORT]}), **settings},
    )
    with reporter.task(f"starting {image}"):
        server = ContainerServer(engine.create(request, reporter))
    with stopped_at_the_end(server):
        with reporter.task(f"starting {image}"):
            server.container.start()
            published = port if hosts_network else server.container.published_port(PORT)
            url = f"http://{engine.hostname or '127.0.0.1'}:{published or 1}"  # one that has ended has no port
            seconds = wait_for_health(url, alive=server.alive, timeout=timeout, logs=server.logs)
        yield Served(url, "docker", seconds, server)


def _network(engine: Engine, port: int | None, network: str | None) -> dict[str, Any]:
    if network == "host":
        return {"network_mode": "host"}
    # An engine elsewhere, as in CI: its loopback is not ours.
    binding = port if engine.hostname else ("127.0.0.1", port) if port else ("127.0.0.1",)
    return {
        "port_bindings": {PORT: binding},
        "extra_hosts": {"host.docker.internal": "host-gateway"},
        **({"network_mode": network} if network else {}),
    }


class ContainerServer:
    def __init__(self, container: Container) -> None:
        self.container = container

    @property
    def name(self) -> str:
        return self.container.name

    def alive(self) -> bool:
        return self.container.is_running()

    def logs(self) -> str:
        return self.container.logs()

    def follow(self, on_line: Callable[[str], None]) -> int:
        return self.container.follow(on_line)

    def copy_out(self, path: str, folder: Path) -> Path:
        return self.container.copy_out(path, folder)

    def stop(self) -> None:
        self.container.stop(_PATIENCE_AT_THE_END)
        self.container.remove()
