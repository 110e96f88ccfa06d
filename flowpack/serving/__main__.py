"""Starts the flow: reads the environment, tells all that is missing at once, loads the flow, serves it."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from .application import load_application, open_sockets, prepare_home, remove_home, why_not_shared
from .connections import Connection, read_documents, resolve_all, used_connections
from .cores import usable_cores
from .problems import CannotStartError
from .settings import FROM_ENVIRONMENT, Settings, names_workspace, read_settings


def main() -> int:
    end_at_a_stop(None)
    try:
        settings, connections = prepare(os.environ)
    except CannotStartError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    say(str(settings))
    if settings.connections_from == FROM_ENVIRONMENT and names_workspace(os.environ):
        say("without azure-identity and azure-ai-ml, connections come from the environment, not from the workspace")
    given = dict(os.environ)
    home = prepare_home()
    atexit.register(remove_home, home, os.getpid())
    end_at_a_stop(home)
    application = None
    if settings.preload:
        application, reason = _load_once(settings, connections)
        if reason:
            say(f"the workers cannot share the flow, since {reason}: each loads it for itself")
            remove_home(home, os.getpid())
            _start_again({**given, "FLOWPACK_PRELOAD": "0"})

    from .server import Server  # noqa: PLC0415 - what is missing is told before gunicorn loads

    Server(settings, lambda: application or load_application(settings, connections)).run()
    return 0


def end_at_a_stop(home: Path | None) -> None:
    """Until the server has its own way to stop: nothing is in flight yet.

    The first process of a container ignores a signal that nobody handles. An exception would not do: imports run
    code that catches every one of them.
    """
    owner = os.getpid()

    def end(*_: object) -> None:
        remove_home(home, owner)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)


def prepare(environ: Mapping[str, str]) -> tuple[Settings, Mapping[str, Connection]]:
    """All that can be known before promptflow loads; CannotStartError names everything that is missing."""
    settings = read_settings(environ, usable_cores())
    if settings.connections_from != FROM_ENVIRONMENT:
        return settings, {}
    documents, problems = read_documents(settings.connections)
    connections, more = resolve_all(documents, used_connections(settings.flow, environ), environ)
    if problems or more:
        raise CannotStartError([*problems, *more])
    return settings, connections


def _load_once(settings: Settings, connections: Mapping[str, Connection]) -> tuple[Any, str | None]:
    """The application, and why several workers must not share it, if so."""
    before = open_sockets()
    try:
        application = load_application(settings, connections)
    except Exception as error:  # the flow's own code runs here: anything may come
        traceback.print_exc()
        print(f"cannot start: the flow does not load: {type(error).__name__}", file=sys.stderr, flush=True)
        sys.exit(1)
    return application, why_not_shared(before) if settings.workers > 1 else None


def _start_again(environ: Mapping[str, str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, "-m", __package__ or "flowpack_serving"], dict(environ))  # noqa: S606


def say(text: str) -> None:
    print(f"flowpack: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
