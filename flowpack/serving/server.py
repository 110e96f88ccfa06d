"""gunicorn, in this process: workers that share the loaded application, and a stop that loses no request."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-not-found,import-untyped,unused-ignore]
from gunicorn.arbiter import Arbiter  # type: ignore[import-not-found,import-untyped,unused-ignore]
from gunicorn.errors import HaltServer  # type: ignore[import-not-found,import-untyped,unused-ignore]

from .draining import drain
from .handover import Handover
from .limits import Limits
from .settings import Settings

# Proxies keep connections to a server open for a minute; a server that closes first cuts requests off.
_KEEP_ALIVE = 75

CANNOT_LOAD = Arbiter.WORKER_BOOT_ERROR
"""The exit status of a worker that gunicorn must not start again."""


class Server(BaseApplication):  # type: ignore[misc]
    """``load`` gives the application; it is called once, before the fork, where ``preload`` says so."""

    def __init__(self, settings: Settings, load: Callable[[], Any]) -> None:
        self._settings = settings
        self._load = load
        self.limits = Limits.of(settings)
        self.handover = Handover()
        super().__init__()

    def load_config(self) -> None:
        for name, value in options(self._settings).items():
            if name in self.cfg.settings:  # each gunicorn has its own set
                self.cfg.set(name, value)
        # By name: older releases of gunicorn take no class, and each worker loads its own server alone.
        worker = {"flask": "wsgi_worker.WsgiWorker", "fastapi": "asgi_worker.AsgiWorker"}[self._settings.engine]
        self.cfg.set("worker_class", f"{__package__}.{worker}")
        given = self.cfg.parser().parse_args(self.cfg.get_cmd_args_from_env())  # GUNICORN_CMD_ARGS, as everywhere
        for name, value in vars(given).items():
            if value is not None and name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        _listen_to_a_stop(None)  # what the flow starts while a worker loads it must not inherit deaf ears
        return self._load()

    def run(self) -> None:
        try:
            DrainingArbiter(self).run()
        except HaltServer as halt:  # raised again while it halts, by the next worker that could not load
            sys.exit(halt.exit_status)


class DrainingArbiter(Arbiter):  # type: ignore[misc]
    def spawn_worker(self) -> Any:
        """A stop that comes while a worker is on its way waits until that worker listens to it.

        Before, the worker has its parent's way to take signals: the stop would be lost on it, and waited for.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def stop(self, graceful: bool = True) -> None:
        if graceful and self.LISTENERS:
            drain([listener.sock for listener in self.LISTENERS], self.cfg.graceful_timeout)
        super().stop(graceful)


def options(settings: Settings) -> dict[str, Any]:
    shared_memory = Path("/dev/shm")  # noqa: S108 - a heartbeat on a disk that stalls would kill its worker
    return {
        "bind": f"[{settings.host}]:{settings.port}" if ":" in settings.host else f"{settings.host}:{settings.port}",
        "workers": settings.workers,
        "threads": settings.threads if settings.engine == "flask" else 1,
        "timeout": settings.timeout,
        "graceful_timeout": settings.timeout,
        "keepalive": _KEEP_ALIVE,
        "preload_app": settings.preload,
        "worker_tmp_dir": str(shared_memory) if os.access(shared_memory, os.W_OK) else None,
        "control_socket_disable": True,
        "proc_name": "flowpack",
        "when_ready": _settle_memory,
        "post_worker_init": _listen_to_a_stop,
    }


def _listen_to_a_stop(_: Any) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _settle_memory(_: Any) -> None:
    """What is loaded so far stays: the collector must not touch its pages in every worker."""
    gc.collect()
    gc.freeze()
