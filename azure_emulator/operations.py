"""Long-running operations, as the service behind a workspace's endpoints answers about them."""

from __future__ import annotations

import threading
import time
import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from azure_emulator.messages import Answer, Refusal, service_refusal
from azure_emulator.setup import Setup


class OperationFailed(Exception):
    """In the service's words, which the client gets to see."""


@dataclass
class Operation:
    """``kind`` is what the service's identifiers begin with: an online endpoint (oe) or deployment (od)."""

    kind: str
    method: str
    resource: str
    identifier: str
    started: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat())
    ended: str | None = None
    error: str | None = None

    @property
    def status(self) -> str:
        if self.ended is None:
            return "InProgress"
        return "Succeeded" if self.error is None else "Failed"

    def as_value(self, path: str) -> dict[str, Any]:
        value = {"id": path, "name": self.identifier, "status": self.status, "startTime": self.started}
        if self.ended:
            value["endTime"] = self.ended
        # Without a code: the SDK shows "(None)" before these messages.
        return value | ({"error": {"message": self.error, "details": [], "additionalInfo": []}} if self.error else {})


class Operations:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._known: dict[str, Operation] = {}
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def check_free(self, resource: str, *, and_below: bool = False) -> None:
        for one in self._running():
            if one.resource == resource or (and_below and one.resource.startswith(f"{resource}/")):
                raise service_refusal(
                    409,
                    "Conflict",
                    f"Already running method {one.method} on resource {one.resource}. Please wait until it has ended.",
                )

    def start(self, kind: str, method: str, resource: str, work: Callable[[], None]) -> Operation:
        """``work`` raises OperationFailed where the operation is to end so."""
        operation = Operation(kind, method, resource, f"{kind}:{self._setup.workspace_guid}:{uuid.uuid4()}")
        thread = threading.Thread(target=self._run, args=(operation, work), daemon=True)
        with self._lock:
            self._known[operation.identifier] = operation
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            thread.start()
        return operation

    def _run(self, operation: Operation, work: Callable[[], None]) -> None:
        if self._stop.wait(self._setup.operation_seconds):
            return
        try:
            work()
        except OperationFailed as failure:
            operation.error = str(failure)
        except Exception:
            operation.error = f"InternalServerError: the emulator's own fault: {traceback.format_exc()}"
        operation.ended = datetime.now(timezone.utc).isoformat()

    def get(self, identifier: str) -> Operation:
        operation = self._known.get(identifier)
        if operation is None:
            raise Refusal(404, "NotFound", f"There is no operation {identifier}.")
        return operation

    def wait(self, seconds: float = 300) -> None:
        """Until none runs."""
        ends = time.monotonic() + seconds
        for one in list(self._threads):
            one.join(max(0, ends - time.monotonic()))

    def abandon(self, hurry: Callable[[], None]) -> None:
        """What has not begun does not begin; what has is made to hurry, and waited for."""
        self._stop.set()
        if any(one.is_alive() for one in self._threads):
            hurry()
        self.wait(60)
        self._stop.clear()
        self._known.clear()

    def _running(self) -> list[Operation]:
        with self._lock:
            return [one for one in self._known.values() if one.ended is None]

    def headers(self, operation: Operation, host: str, version: str) -> dict[str, str]:
        """Of the answer that says that the operation has begun."""
        status, result = (self.path(kind, operation) for kind in ("mfeOperationsStatus", "mfeOperationResults"))
        return {
            "Azure-AsyncOperation": f"https://{host}{status}?api-version={version}",
            "Location": f"https://{host}{result}?api-version={version}",
            "x-ms-async-operation-timeout": "PT1H",
            # The SDK reads this one as a whole number, and does not wait by it.
            "Retry-After": f"{int(self._setup.retry_after)}",
        }

    def path(self, collection: str, operation: Operation) -> str:
        setup = self._setup
        service = f"/subscriptions/{setup.subscription_id}/providers/Microsoft.MachineLearningServices"
        return f"{service}/locations/{setup.location}/{collection}/{operation.identifier}"

    def status(self, operation: Operation) -> Answer:
        # Of an operation that has ended, azure-core must not be told to wait.
        wait = {"Retry-After": f"{self._setup.retry_after:g}"} if operation.ended is None else {}
        return Answer.of(operation.as_value(self.path("mfeOperationsStatus", operation)), 200, wait)

    def result(self, operation: Operation) -> Answer:
        if operation.ended is None:
            return Answer(202, b"", {"Retry-After": f"{self._setup.retry_after:g}"})
        if operation.error:
            raise service_refusal(400, "BadRequest", operation.error)
        return Answer(204)
