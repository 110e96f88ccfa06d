"""Keeps promptflow's development kit out of a server whose nodes do not use it.

``promptflow/__init__.py`` of the full SDK imports its client, and with it a database layer, a service and an exporter
that reports to Microsoft: four of the five seconds that an LLM flow takes to start, and threads that no fork survives.
promptflow-tools gets there by three imports, of names that promptflow-core itself has. So these packages stand in
``sys.modules`` from the start with those names alone; asking one for anything else runs its real code in its place.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import pkgutil
import sys
import threading
from collections import namedtuple
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from . import deferred_openai

_CORE = {"tool": "promptflow.core", "ToolProvider": "promptflow.core", "log_metric": "promptflow.core"}
_INTERNAL = {
    "tool": "promptflow._core.tool",
    "ToolProvider": "promptflow._core.tool",
    "enable_cache": "promptflow._core.cache_manager",
    "register_apis": "promptflow._core.tools_manager",
    "register_builtins": "promptflow._core.tools_manager",
    "register_connections": "promptflow._core.tools_manager",
    "inject_openai_api": "promptflow.tracing._integrations._openai_injector",
}
_WORKSPACE = namedtuple("_WORKSPACE", ("subscription_id", "resource_group_name", "workspace_name"))

_lock = threading.RLock()


def install() -> None:
    """Leaves alone what is loaded already. With promptflow-core alone, what these imports ask for comes from it."""
    if importlib.machinery.PathFinder.find_spec("promptflow") is None:
        return
    _stand_in("promptflow", {**_CORE, "__version__": "promptflow.core"})
    _stand_in("promptflow._internal", _INTERNAL)
    _stand_in("promptflow._cli", {})
    _stand_in("promptflow._cli._utils", {}, package=False, get_workspace_triad_from_local=_workspace_of_this_machine)
    deferred_openai.install()
    _without_configuration()


def _without_configuration() -> None:
    """promptflow-core asks the kit's configuration for a user agent to add; a server has no such configuration."""
    utils = importlib.import_module("promptflow._utils.user_agent_utils")
    utils.ClientUserAgentUtil.update_user_agent_from_config = lambda: None


def _workspace_of_this_machine() -> Any:
    utils = importlib.import_module("promptflow.core._utils")
    return _WORKSPACE(*utils.get_workspace_triad_from_local())


def _stand_in(name: str, homes: Mapping[str, str], package: bool = True, **functions: Callable[..., Any]) -> None:
    """``homes`` says for each name which module of the core defines it."""
    if name in sys.modules:
        return
    parent, _, child = name.rpartition(".")
    search = sys.modules[parent].__path__ if parent else None
    spec = importlib.machinery.PathFinder.find_spec(name, search)
    module = ModuleType(name)
    module.__spec__ = spec or importlib.machinery.ModuleSpec(name, None, is_package=package)
    module.__package__ = name if package else parent
    if spec and spec.origin:
        module.__file__ = spec.origin
    if package:  # promptflow's distributions each bring a part of it
        module.__path__ = list(pkgutil.extend_path(list(spec.submodule_search_locations or []) if spec else [], name))
    vars(module).update(functions)

    def __getattr__(attribute: str) -> Any:  # noqa: N807 - the module's own
        if attribute in homes:
            value = getattr(importlib.import_module(homes[attribute]), attribute)
            setattr(module, attribute, value)
            return value
        if attribute.startswith("__") or spec is None or spec.loader is None or spec.origin is None:
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        with _lock:
            if vars(module).get("__getattr__") is __getattr__:
                _become_real(module, spec)
        return getattr(module, attribute)

    vars(module)["__getattr__"] = __getattr__
    sys.modules[name] = module
    if parent:
        setattr(sys.modules[parent], child, module)


def _become_real(module: ModuleType, spec: importlib.machinery.ModuleSpec) -> None:
    del vars(module)["__getattr__"]
    assert spec.loader is not None  # noqa: S101 - seen by the caller
    spec.loader.exec_module(module)
