"""Loads promptflow-core's serving app for one flow, with connections from the environment and no local store."""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from . import light_sdk
from .bad_input import refuse_bad_input, refuse_in_flask
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
    """The WSGI or ASGI application; whatever promptflow or the flow's own code raises comes out as it is."""
    quieten()
    if not os.environ.get("FLOWPACK_FULL_SDK"):
        light_sdk.install()
    os.chdir(settings.flow)
    if str(settings.flow) not in sys.path:  # for what the flow's code imports while it answers
        sys.path.insert(0, str(settings.flow))
    os.environ["PROMPTFLOW_PROJECT_PATH"] = str(settings.flow)
    provide(connections)
    from promptflow.core._serving.app import create_app  # type: ignore[import-not-found]  # noqa: PLC0415

    keep_signals()
    leave_the_flow_as_it_is()
    if any(settings.flow.rglob("*.prompty")):  # its client loads at the first request, in each worker anew
        importlib.import_module("openai")
        give_prompties_what_fastapi_calls()
    refuse_bad_input(settings)
    extension = {"extension_type": "azureml"} if settings.azureml else {}
    if settings.azureml:
        leave_connections_to_us()
    application = create_app(engine=settings.engine, **extension)
    if settings.engine == "flask":
        refuse_in_flask(application)
    return application


def provide(connections: Connections) -> None:
    """Puts our connections where promptflow looks for its provider, which else opens the full SDK's local store."""
    from promptflow.core import _prompty_utils  # type: ignore[import-not-found]  # noqa: PLC0415
    from promptflow.core._connection_provider._connection_provider import (  # type: ignore[import-not-found]  # noqa: PLC0415
        ConnectionProvider,
    )
    from promptflow.core._connection_provider._dict_connection_provider import (  # type: ignore[import-not-found]  # noqa: PLC0415
        DictConnectionProvider,
    )
    from promptflow.core._serving.flow_invoker import FlowInvoker  # type: ignore[import-not-found]  # noqa: PLC0415

    class Provider(ConnectionProvider):  # type: ignore[misc]
        def get(self, name: Any) -> Any:
            """Also of what is a connection already: itself."""
            documents = {name: connections[name].to_executor()} if isinstance(name, str) else {}
            return DictConnectionProvider(documents).get(name)

        def list(self, **_: Any) -> list[Any]:
            return [self.get(name) for name in connections]

    provider = Provider()
    ConnectionProvider._instance = provider
    one_by_one = FlowInvoker.resolve_connections

    def all_at_once(self: Any, connection_names: Iterable[str], *args: Any, **options: Any) -> Any:
        connections.learn(connection_names)
        return one_by_one(self, connection_names, *args, **options)

    FlowInvoker.resolve_connections = all_at_once

    def of_prompty(name: str) -> tuple[Any, str]:
        connection = provider.get(name)
        return connection._to_execution_connection_dict()["value"], connection.TYPE

    _prompty_utils.get_connection_by_name = of_prompty  # it asks the full SDK's client, whatever the provider


def leave_connections_to_us() -> None:
    """promptflow's extension for Azure ML asks a provider of its own, one by one, and overrides some itself."""
    from promptflow.core._serving.extension.azureml_extension import (  # type: ignore[import-not-found]  # noqa: PLC0415
        AzureMLExtension,
    )

    AzureMLExtension.get_connection_provider = lambda _: None
    AzureMLExtension.get_override_connections = lambda *_: ({}, {})


def leave_the_flow_as_it_is() -> None:
    """promptflow writes a flex flow's signature into the flow's folder, which a server cannot write and never reads."""
    from promptflow._core import entry_meta_generator  # type: ignore[import-not-found]  # noqa: PLC0415

    generate = entry_meta_generator.generate_flow_meta
    entry_meta_generator.generate_flow_meta = functools.partial(generate, dump=False)


def give_prompties_what_fastapi_calls() -> None:
    """promptflow 1.18.5 makes it for every other kind of flow; without it each request ends in an AttributeError."""
    from promptflow._utils.async_utils import sync_to_async  # type: ignore[import-not-found]  # noqa: PLC0415
    from promptflow.executor._prompty_executor import (  # type: ignore[import-not-found]  # noqa: PLC0415
        PromptyExecutor,
    )

    in_a_thread = functools.cached_property(lambda executor: sync_to_async(executor._func))
    in_a_thread.__set_name__(PromptyExecutor, "_func_async")
    PromptyExecutor._func_async = in_a_thread


def keep_signals() -> None:
    """Takes from promptflow's node scheduler the means to set signal handlers.

    At its first request in a main thread it makes SIGTERM cancel the run and end the process three seconds later:
    right for ``pf flow test``, but in a server it cuts off the very requests that a stop has to finish.
    """
    from promptflow.executor import _flow_nodes_scheduler  # type: ignore[import-not-found]  # noqa: PLC0415

    _flow_nodes_scheduler.signal = types.SimpleNamespace(
        SIGINT=signal.SIGINT, SIGTERM=signal.SIGTERM, Signals=signal.Signals, signal=lambda *_: None
    )


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
