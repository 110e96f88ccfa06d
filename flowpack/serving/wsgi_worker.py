"""A gunicorn worker for Flask in which clients wait for the flow, and the flow never for a client.

``PROMPTFLOW_WORKER_THREADS`` threads run the flow. One that is free leads: it sees to all connections until a request
is whole, leaves the lead, and runs it. When all of them run the flow, a spare thread leads, which runs nothing but
``/health`` and hands what becomes ready to the other workers. So a short request needs no change of threads, and a
flow that is not safe with threads is run by one thread at a time.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from gunicorn.http import wsgi  # type: ignore[import-not-found,import-untyped,unused-ignore]
from gunicorn.http.errors import ParseException  # type: ignore[import-not-found,import-untyped,unused-ignore]
from gunicorn.http.parser import RequestParser  # type: ignore[import-not-found,import-untyped,unused-ignore]
from gunicorn.workers.base import Worker  # type: ignore[import-not-found,import-untyped,unused-ignore]

from .clients import Clients, Connection
from .framing import WholeRequest
from .handover import MOST_OF_A_REQUEST, Handover
from .limits import Limits, most_connections
from .refusals import Refused, error_answer

_LONG = 0.02  # seconds that all threads run the flow before the spare one leads
_QUIET = 1.0  # after which it sleeps until it is woken: each waking takes Python from a thread that runs the flow
_TICK = 1.0
_OF_THE_PARSER = {"LimitRequestLine": 414, "LimitRequestHeaders": 431, "ExpectationFailed": 417}

Job = tuple[Connection, WholeRequest]


class WsgiWorker(Worker):  # type: ignore[misc]
    alive: bool

    def run(self) -> None:
        limits: Limits = self.app.limits
        self.handover: Handover = self.app.handover
        self._clients = Clients(
            limits,
            keep_alive=self.cfg.keepalive,
            most=most_connections(self.cfg.worker_connections),
            answer_health=self._answer,
            log=self.log,
        )
        for listener in self.sockets:
            listener.setblocking(False)
        self._clients.listen_to(self.sockets)
        self._lead = threading.Lock()
        self._running: set[int] = set()
        self._wanting: set[int] = set()
        self._done: list[tuple[Connection, bool]] = []
        self._all_run = threading.Event()
        self._left_the_lead = self._last_turn = 0.0
        self._spare_leads = False
        self._stop_at = float("inf")
        self._over = False
        self._wake_reader, self._wake_writer = os.pipe()
        for descriptor in (self._wake_reader, self._wake_writer):
            os.set_blocking(descriptor, False)
        self._clients.watch(self._wake_reader, self._on_wake)
        self._clients.watch(self.PIPE[0], self._on_signal)
        for number in range(self.cfg.threads):
            work = self._serve if number else self._lead_in_their_place
            threading.Thread(target=self._or_end, args=[work], name=f"flowpack-{number}", daemon=True).start()
        self._serve()

    def _serve(self) -> None:
        """Lead, run the flow, and so on. One of the threads is the main one, where some libraries want to be."""
        me = threading.get_ident()
        while (job := self._next_job(me)) is not None:
            connection, request = job
            self.notify()
            try:
                keep = self._answer(connection, request)
            finally:
                self._running.discard(me)
            self._done.append((connection, keep))

    def _next_job(self, me: int) -> Job | None:
        self._wanting.add(me)
        if self._spare_leads:
            self._wake()
        with self._lead:
            self._wanting.discard(me)
            while not self._over:
                self._take_back()
                if time.monotonic() - self._last_turn > _LONG:  # jobs without an end leave nobody waiting either
                    self._turn(0)
                job = self._ready_job()
                if job:
                    self._running.add(me)
                    self._left_the_lead = time.monotonic()
                    if len(self._running) >= self.cfg.threads and not self._all_run.is_set():
                        self._all_run.set()
                    return job
                self._turn(_TICK)
        return None

    def _lead_in_their_place(self) -> None:
        while not self._over:
            self._all_run.wait()
            time.sleep(_LONG)
            now = time.monotonic()
            if len(self._running) < self.cfg.threads:
                if now - self._left_the_lead > _QUIET:
                    self._all_run.clear()
                    if len(self._running) >= self.cfg.threads:  # since the look before
                        self._all_run.set()
            elif now - self._left_the_lead >= _LONG:
                with self._lead:
                    self._spare_leads = True  # before the look at who wants to lead: they look the other way round
                    while not self._wanting and not self._over and len(self._running) >= self.cfg.threads:
                        self._take_back()
                        self._give_away(0)
                        self._turn(_TICK, wait_for_jobs=False)
                    self._spare_leads = False

    def _or_end(self, work: Callable[[], None]) -> None:
        """A thread that fails would be missed by nobody, its clients apart: another worker takes this one's place."""
        try:
            work()
        except BaseException:
            self.log.exception("Exception in worker process")
            os._exit(1)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake_writer, b"\0")

    def _take_back(self) -> None:
        while self._done:
            self._clients.answered(*self._done.pop())

    def _ready_job(self) -> Job | None:
        ready = self._clients.ready
        if ready:
            job = ready.popleft()
            self._give_away(self.cfg.threads - len(self._running) - 1)
            return job
        taken = self.handover.take()
        if taken is None:
            return None
        sock, peer, request, rest = taken
        return self._clients.adopt(sock, peer, rest), request

    def _give_away(self, keep: int) -> None:
        """All that is ready but for ``keep``, which threads of this worker take at once."""
        ready = self._clients.ready
        while len(ready) > keep:
            connection, request = ready[keep]
            rest = connection.incoming.rest()
            if len(request.body) + len(rest) > MOST_OF_A_REQUEST:
                keep += 1
            elif self.handover.give(connection.sock, connection.peer, request, rest):
                del ready[keep]
                self._clients.forget(connection)
            else:
                return

    def _turn(self, timeout: float, *, wait_for_jobs: bool = True) -> None:
        """``wait_for_jobs``: whether the queue of all workers is to wake this one."""
        if self.cfg.threads > 1 or not self._running:
            self.notify()  # else the one thread has no time limit but that of the arbiter, FLOWPACK_TIMEOUT
        self._clients.watch(self.handover, self._on_job if wait_for_jobs else None)
        self._clients.turn(timeout)
        self._last_turn = time.monotonic()
        if not self.alive:
            self._drain()
        elif os.getppid() != self.ppid:
            self.log.info("Parent changed, shutting down: %s", self)
            self.alive = False

    def _drain(self) -> None:
        if not self._clients.draining:
            self._clients.drain()
            self._stop_at = time.monotonic() + self.cfg.graceful_timeout
        waiting = len(self._clients) or self._running or self._done or self._clients.ready
        if not waiting and (taken := self.handover.take()):
            sock, peer, request, rest = taken
            self._clients.ready.append((self._clients.adopt(sock, peer, rest), request))
        elif not waiting or time.monotonic() > self._stop_at:
            self._over = True

    def _on_wake(self) -> None:
        with contextlib.suppress(OSError):
            os.read(self._wake_reader, 4096)

    def _on_signal(self) -> None:
        """The signals' numbers come here even while the thread that handles them is deep in the flow's own code."""
        with contextlib.suppress(OSError):
            if signal.SIGTERM in os.read(self.PIPE[0], 4096):
                self.alive = False

    def _on_job(self) -> None:
        """``_ready_job`` takes it."""

    def _answer(self, connection: Connection, request: WholeRequest) -> bool:
        """Whether the connection may be kept."""
        try:
            parsed = next(RequestParser(self.cfg, [request.head], connection.peer))
        except ParseException as error:
            refused = _refusal_of(error)
            self.log.info("Refused a request of %s: %s %s", connection.peer, refused.status, refused.message)
            with contextlib.suppress(OSError):
                connection.outgoing.sendall(refused.answer())
            return False
        parsed.body = io.BytesIO(request.body)
        parsed._expected_100_continue = False  # it was said when the header was whole
        parsed.headers = [header for header in parsed.headers if header[0] != "EXPECT"]
        try:
            return self._call_application(connection, parsed)
        except OSError as error:
            self.log.debug("The client of a request is gone: %s", error)
            connection.outgoing.pending.clear()
            return False

    def _call_application(self, connection: Connection, parsed: Any) -> bool:
        begun = datetime.now()
        response, environ = wsgi.create(parsed, connection.outgoing, connection.peer, connection.server, self.cfg)
        environ["wsgi.multithread"] = self.cfg.threads > 1
        self._count()
        if not self.alive or not self.cfg.keepalive:
            response.force_close()
        try:
            parts = self.wsgi(environ, response.start_response)
            try:
                for part in parts:
                    response.write(part)
                response.close()
            finally:
                self.log.access(response, parsed, environ, datetime.now() - begun)
                if hasattr(parts, "close"):
                    parts.close()
        except OSError:
            raise
        except (Exception, SystemExit) as error:
            self.log.exception("Error handling request %s", parsed.uri)
            if not response.headers_sent:
                connection.outgoing.sendall(error_answer(500, "SystemError", "The request could not be answered."))
            if (
                isinstance(error, SystemExit) and not self.alive
            ):  # the arbiter's: this took longer than FLOWPACK_TIMEOUT
                raise
            return False
        return not response.should_close()

    def _count(self) -> None:
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False


def _refusal_of(error: Exception) -> Refused:
    names = [kind.__name__ for kind in type(error).__mro__]
    status = next((_OF_THE_PARSER[name] for name in names if name in _OF_THE_PARSER), 400)
    return Refused(status, f"The request is not valid HTTP: {error}")
