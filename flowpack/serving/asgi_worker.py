"""A gunicorn worker that serves an ASGI application with uvicorn.

uvicorn deprecated its own (``uvicorn.workers``); this one has what a container needs of it, and notices when its
parent is gone.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any

import uvicorn  # type: ignore[import-not-found,import-untyped,unused-ignore]
from gunicorn.arbiter import Arbiter  # type: ignore[import-not-found,import-untyped,unused-ignore]
from gunicorn.workers.base import Worker  # type: ignore[import-not-found,import-untyped,unused-ignore]

from .asgi_guard import Guard
from .framing import MOST_OF_A_HEADER
from .limits import most_connections


class AsgiWorker(Worker):  # type: ignore[misc]
    server: Any = None

    def init_signals(self) -> None:
        """uvicorn handles SIGTERM and SIGINT while it serves, then raises them again for these handlers."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, self.handle_exit)
        signal.signal(signal.SIGINT, self.handle_exit)
        signal.signal(signal.SIGQUIT, self.handle_quit)
        signal.signal(signal.SIGABRT, self.handle_abort)
        signal.signal(signal.SIGUSR1, self.handle_usr1)
        signal.siginterrupt(signal.SIGUSR1, False)

    def run(self) -> None:
        if not self.alive:
            return
        guard = Guard(self.wsgi, self.app.limits, most_connections(self.cfg.worker_connections))
        config = uvicorn.Config(
            guard,
            interface="asgi3",
            log_config=None,
            access_log=False,
            timeout_keep_alive=self.cfg.keepalive,
            forwarded_allow_ips=self.cfg.forwarded_allow_ips,
            callback_notify=self.tick,
            timeout_notify=1,
            h11_max_incomplete_event_size=2 * MOST_OF_A_HEADER,  # the guard is first to say that it is too long
        )
        config.load()
        config.http_protocol_class = guard.protocol(config.http_protocol_class)
        self.server = uvicorn.Server(config)
        self.server.run(sockets=self.sockets)
        if not self.server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - gunicorn's signature
        """Called before uvicorn serves, which is the end, or after it, which is nothing new."""
        self.alive = False
        if self.server is None or not self.server.started:
            sys.exit(0)

    async def tick(self) -> None:
        self.notify()
        if os.getppid() != self.ppid:
            self.log.info("Parent changed, shutting down: %s", self)
            self.server.should_exit = True
