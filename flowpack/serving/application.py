"""Loads promptflow-core's serving app for one flow, with connections from the environment and no local store."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import light_sdk
from .connections import Connections
from .settings import Settings

# Said at every start, whatever the flow; PF_LOGGING_LEVEL=DEBUG shows them.
_NOISE = (
    "auto-instrumentation is not enabled",
    "exporter is disabled",
    "exporter enabled",
    "Static_folder: ",
    "Create extension with type: ",
    "Getting connections from pf client",
    "Promptflow executor ",
)


def load_application(settings: Settings, connections: Connections) -> Any:
    """The WSGI or ASGI application. Errors of promptflow and of the flow's code are not translated."""
    quieten()
    if not os.environ.get("FLOWPACK_FULL_SDK"):
        light_sdk.install()
    os.chdir(settings.flow)
    if str(settings.flow) not in sys.path:  # for what the flow's code imports while it answers
        sys.path.insert(0, str(settings.flow))
    os.environ["PROMPTFLOW_PROJECT_PATH"] = str(settings.flow)
    # The replacement of the full SDK is installed, so promptflow can be loaded.
    from . import promptflow_changes as changes  # noqa: PLC0415

    changes.provide(connections)
    changes.keep_signals()
    changes.leave_the_flow_as_it_is()
    changes.load_each_source_once()
    changes.read_signatures_in_this_process()
    if any(settings.flow.rglob("*.prompty")):  # its client loads at the first request, in each worker again
        importlib.import_module("openai")
        changes.give_prompties_what_fastapi_calls()
    changes.refuse_bad_input(settings)
    extension = {"extension_type": "azureml"} if settings.azureml else {}
    if settings.azureml:
        changes.leave_connections_to_us()
    application = changes.create_app(engine=settings.engine, **extension)
    if settings.engine == "flask":
        changes.refuse_in_flask(application)
    return application


def prepare_home() -> Path | None:
    """Gives a process without a home, a name or a writable disk what libraries ask the operating system for.

    The full SDK makes a folder of its own when it is imported, and reports to Microsoft unless its file there says
    no. The folder that is made for both is given back, for ``remove_home``.
    """
    temporary = _writable(
        [os.environ.get("TMPDIR", ""), "/tmp", "/var/tmp", "/dev/shm"]  # noqa: S108 - the first that can be written
    )
    os.environ.setdefault("USER", "flowpack")  # a user id that the system has no name for
    if temporary is None:
        return None
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    own = Path(tempfile.mkdtemp(prefix="flowpack-"))
    if "PF_HOME_DIRECTORY" not in os.environ:
        os.environ["PF_HOME_DIRECTORY"] = str(own)
        (own / "pf.yaml").write_text("telemetry:\n  enabled: false\n", encoding="ascii")
    home = os.environ.get("HOME", "")
    if not home or not os.access(home, os.W_OK):
        os.environ["HOME"] = str(own)
    return own


def remove_home(home: Path | None, owner: int) -> None:
    """Once, by the process that made it: its forks run what is registered for their end as well."""
    if home is not None and os.getpid() == owner:
        shutil.rmtree(home, ignore_errors=True)


def _writable(folders: Iterable[str]) -> Path | None:
    for folder in folders:
        with contextlib.suppress(OSError):
            if folder and Path(folder).is_dir():
                with tempfile.TemporaryFile(dir=folder):
                    return Path(folder)
    return None


def quieten() -> None:
    if os.environ.get("PF_LOGGING_LEVEL", "").upper() == "DEBUG":
        return

    def useful(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not any(words in message for words in _NOISE)

    for name in ("pfserving-app", "pfserving-app-v2"):
        logging.getLogger(name).addFilter(useful)


def open_sockets() -> set[str]:
    """This process's sockets, by the kernel's own names; empty where there is no /proc."""
    found = set()
    with contextlib.suppress(OSError):
        for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names alone are needed
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
                found |= {target} if target.startswith("socket:") else set()
    return found


def why_not_shared(sockets_before: set[str]) -> str | None:
    """What the loaded application holds that a forked worker must not inherit, in words; None where it may.

    A thread does not survive a fork, and two processes on one connection read each other's answers. OpenTelemetry
    starts its own threads anew in each fork.
    """
    threads = {
        thread.name
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and not thread.name.startswith("Otel")
    }
    if threads:
        return f"it starts threads while it loads ({', '.join(sorted(threads))})"
    if open_sockets() - sockets_before:
        return "it opens connections while it loads"
    return None
