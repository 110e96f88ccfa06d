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
from .connections import Connections, read_documents
from .cores import usable_cores
from .flow_file import problems_of_variables, used_connections
from .problems import CannotStartError
from .settings import Settings, read_settings
from .sources import can_sign_in, is_deployment, source_named_by


def main() -> int:
    end_at_a_stop(None)
    try:
        settings, connections = prepare(os.environ)
    except CannotStartError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    say(str(settings))
    given = dict(os.environ)
    home = prepare_home()
    atexit.register(remove_home, home, os.getpid())
    end_at_a_stop(home)
    application = None
    if settings.preload:
        before = open_sockets()
        application = _load(settings, connections, 1)
        reason = why_not_shared(before) if settings.workers > 1 else None
        if reason:
            say(f"the workers cannot share the flow, since {reason}: each loads it for itself")
            remove_home(home, os.getpid())
            _start_again({**given, "FLOWPACK_PRELOAD": "0"})

    from .server import CANNOT_LOAD, Server  # noqa: PLC0415 - what is missing is reported before gunicorn loads

    Server(settings, lambda: application or _load(settings, connections, CANNOT_LOAD)).run()
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


def prepare(environ: Mapping[str, str]) -> tuple[Settings, Connections]:
    """All that can be known before promptflow loads; CannotStartError names everything that is missing."""
    settings, problems = read_settings(environ, usable_cores())
    documents, unreadable = read_documents(settings.connections)
    problems += [*unreadable, *problems_of_variables(settings.flow, environ)]
    if is_deployment(environ) and not can_sign_in():
        say("connections come from the environment: the image has no azure-identity, which asks a workspace for them")
    try:
        connections = Connections(documents, environ, source_named_by(environ), say)
        connections.learn({*documents, *used_connections(settings.flow, environ)})
    except CannotStartError as error:
        problems += error.problems
    if problems:
        raise CannotStartError(problems)
    return settings, connections


def _load(settings: Settings, connections: Connections, status: int) -> Any:
    """Ends the process with ``status`` where the flow does not load."""
    try:
        return load_application(settings, connections)
    except Exception as error:  # the flow's own code runs here: anything may come
        told = _told(error)
        if told is None:
            traceback.print_exc()
        print(told or f"cannot start: the flow does not load: {type(error).__name__}", file=sys.stderr, flush=True)
        sys.exit(status)


def _told(error: BaseException | None) -> CannotStartError | None:
    """What is missing that only the loaded flow asks for; promptflow raises its own error from it in places."""
    while error is not None and not isinstance(error, CannotStartError):
        error = error.__cause__ or error.__context__
    return error


def _start_again(environ: Mapping[str, str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, "-m", __package__ or "flowpack_serving"], dict(environ))  # noqa: S606


def say(text: str) -> None:
    print(f"flowpack: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
