"""Waits until a server is healthy, or tells in its own words why it is not."""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from flowpack.errors import ServingError

_LINES = 40
# A proxy of this machine does not lead to this machine.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def wait_for_health(
    url: str, *, alive: Callable[[], bool], timeout: float, logs: Callable[[], str] = lambda: "", step: float = 0.05
) -> float:
    """The seconds until ``/health`` answered 200; ServingError where the server ends first, or does not in time."""
    began = time.monotonic()
    asked_alive = began
    while not is_healthy(url):
        now = time.monotonic()
        if now - asked_alive >= 0.25:
            asked_alive = now
            if not alive():
                raise ServingError("the server stopped before it was healthy", detail=what_it_said(logs()))
        if now - began > timeout:
            raise ServingError(
                f"{url}/health did not answer within {timeout:g} s",
                detail=what_it_said(logs()),
                hint="give a slow start more time with --timeout",
            )
        time.sleep(step)
    return time.monotonic() - began


def is_healthy(url: str, timeout: float = 2.0) -> bool:
    try:
        with DIRECT.open(f"{url}/health", timeout=timeout) as response:
            return bool(response.status == 200)
    except (OSError, http.client.HTTPException, urllib.error.URLError):
        return False


def what_it_said(log: str) -> str:
    """The launcher's own explanation where it gave one, else the end of the log."""
    lines = log.rstrip().splitlines()
    explained = [number for number, line in enumerate(lines) if re.match(r"cannot start: .*(missing|wrong)$", line)]
    return "\n".join(lines[explained[-1] :] if explained else lines[-_LINES:])
