"""The running server of each deployment, whatever it runs on."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from azure_emulator.messages import Answer, Request


@dataclass(frozen=True)
class Route:
    path: str
    port: int


@dataclass(frozen=True)
class Model:
    name: str
    version: str
    path: str
    """Of its folder or file in the workspace's container."""


@dataclass(frozen=True)
class Plan:
    """What a deployment runs: another plan asks for another server."""

    endpoint: str
    deployment: str
    image: str
    variables: Mapping[str, str]
    model: Model | None
    model_mount_path: str
    liveness: Route
    readiness: Route
    scoring: Route
    ready_seconds: float = field(compare=False)


@dataclass(frozen=True)
class Logs:
    """By the containers that Azure has a log of."""

    server: str = ""
    storage: str = ""


class NotReady(Exception):
    """``reason`` is in Azure's words."""

    def __init__(self, reason: str, logs: Logs) -> None:
        super().__init__(reason)
        self.reason = reason
        self.logs = logs


class Instance(Protocol):
    def forward(self, request: Request, path: str, seconds: float) -> Answer:
        """The server's own answer; TimeoutError after so many seconds, another OSError where there is no server."""

    def logs(self) -> Logs: ...

    def stop(self) -> None: ...


class Runtime(Protocol):
    def start(self, plan: Plan) -> Instance:
        """Gives an instance that is ready, or raises NotReady."""

    def clear(self) -> None:
        """Leaves nothing behind."""


class Instances:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._running: dict[str, tuple[Plan, Instance]] = {}
        self._logs: dict[str, Logs] = {}
        self._lock = threading.Lock()

    def ensure(self, identifier: str, plan: Plan) -> None:
        """Starts what the plan says, then ends what ran before; where the new one gets not ready, that stays."""
        running = self.get(identifier)
        if running and running[0] == plan:
            self._logs.pop(identifier, None)
            return
        started = self._runtime.start(plan)
        with self._lock:
            before = self._running.get(identifier)
            self._running[identifier] = (plan, started)
            self._logs.pop(identifier, None)
        if before:
            before[1].stop()

    def failed(self, identifier: str, logs: Logs) -> None:
        with self._lock:
            self._logs[identifier] = logs

    def get(self, identifier: str) -> tuple[Plan, Instance] | None:
        with self._lock:
            return self._running.get(identifier)

    def logs(self, identifier: str) -> Logs:
        """Of the last start that failed, else of what runs."""
        if identifier in self._logs:
            return self._logs[identifier]
        running = self.get(identifier)
        return running[1].logs() if running else Logs()

    def end(self, identifier: str) -> None:
        with self._lock:
            running = self._running.pop(identifier, None)
            self._logs.pop(identifier, None)
        if running:
            running[1].stop()

    def clear(self) -> None:
        with self._lock:
            self._running.clear()
            self._logs.clear()
        self._runtime.clear()
