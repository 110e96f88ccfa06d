"""What the server changes in promptflow, once it is loaded. Importing this module loads it.

Written for 1.18.5. Each change is made where the release has what it replaces, see ``promptflow_modules.py``.
"""

from __future__ import annotations

import functools
import signal
import types
from collections.abc import Iterable
from typing import Any

from promptflow.core._connection_provider._connection_provider import (  # type: ignore[import-not-found]
    ConnectionProvider,
)
from promptflow.core._connection_provider._dict_connection_provider import (  # type: ignore[import-not-found]
    DictConnectionProvider,
)
from promptflow.core._serving.app import create_app  # type: ignore[import-not-found]
from promptflow.core._serving.flow_invoker import FlowInvoker  # type: ignore[import-not-found]

from .bad_input import refuse_bad_input, refuse_in_flask
from .connections import Connections
from .promptflow_modules import find_module, modules_with

__all__ = ["create_app", "refuse_bad_input", "refuse_in_flask"]


def provide(connections: Connections) -> None:
    """Puts our connections where promptflow looks for its provider, which else opens the full SDK's local store."""

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

    for module in modules_with("get_connection_by_name", "promptflow.core._prompty_utils"):
        # It asks the full SDK's client, whatever the provider.
        module.get_connection_by_name = of_prompty  # type: ignore[attr-defined]


def leave_connections_to_us() -> None:
    """promptflow's extension for Azure ML asks a provider of its own, one by one, and overrides some itself."""
    for module in modules_with("AzureMLExtension", "promptflow.core._serving.extension.azureml_extension"):
        module.AzureMLExtension.get_connection_provider = lambda _: None
        module.AzureMLExtension.get_override_connections = lambda *_: ({}, {})


def leave_the_flow_as_it_is() -> None:
    """promptflow writes a flex flow's signature into the flow's folder, which a server cannot write and never reads."""
    for module in modules_with("generate_flow_meta", "promptflow._core.entry_meta_generator"):
        module.generate_flow_meta = functools.partial(  # type: ignore[attr-defined]
            module.generate_flow_meta, dump=False
        )


def read_signatures_in_this_process() -> None:
    """promptflow starts two processes that import a flex flow to read its signature, before it imports it itself."""
    for module in modules_with("_generate_meta_from_file", "promptflow._core.entry_meta_generator"):

        def generate(*, flow_directory: Any, data: Any, generator: Any = module, **_: Any) -> dict[str, Any]:
            signature: dict[str, Any] = {}
            errors: list[Any] = []
            # Without the path it is imported by the name in entry, as the executor does, and not also as __pf_main__.
            generator._generate_meta_from_file(flow_directory, None, data, signature, errors)
            if errors:
                raise generator.GenerateFlowMetaJsonError(f"Generate meta failed, detail error:\n{errors}")
            return signature

        module._generate_flow_meta = generate  # type: ignore[attr-defined]


def give_prompties_what_fastapi_calls() -> None:
    """promptflow makes it for every other kind of flow; without it each request ends in an AttributeError."""
    utils: Any = find_module("promptflow._utils.async_utils")
    for module in modules_with("PromptyExecutor", "promptflow.executor._prompty_executor"):
        if hasattr(utils, "sync_to_async"):
            in_a_thread = functools.cached_property(lambda executor: utils.sync_to_async(executor._func))
            in_a_thread.__set_name__(module.PromptyExecutor, "_func_async")
            module.PromptyExecutor._func_async = in_a_thread


def keep_signals() -> None:
    """Takes from promptflow's node scheduler the means to set signal handlers.

    At its first request in a main thread it makes SIGTERM cancel the run and end the process three seconds later:
    right for ``pf flow test``, but in a server it cuts off the very requests that a stop has to finish.
    """
    for module in modules_with("signal", "promptflow.executor._flow_nodes_scheduler"):
        module.signal = types.SimpleNamespace(  # type: ignore[attr-defined]
            SIGINT=signal.SIGINT, SIGTERM=signal.SIGTERM, Signals=signal.Signals, signal=lambda *_: None
        )


def load_each_source_once() -> None:
    """promptflow runs a node's source once to find its connections and once more to execute it, and a source that
    several nodes share again for each of them."""
    for module in modules_with("load_python_module_from_file", "promptflow._core.tools_manager"):
        load = module.load_python_module_from_file
        module.load_python_module_from_file = functools.cache(load)  # type: ignore[attr-defined]
