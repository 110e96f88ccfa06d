"""What the environment says about how to serve; the names are promptflow's, the defaults fit a container."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .problems import CannotStartError, Problem

FROM_ENVIRONMENT = "environment"
FROM_WORKSPACE = "workspace"
FROM_PROMPTFLOW = "promptflow"

_FLOW_FILES = ("flow.dag.yaml", "flow.dag.yml", "flow.flex.yaml", "flow.flex.yml", "*.prompty")
_WORKSPACE_VARIABLES = ("PRT_CONFIG_OVERRIDE", "AML_DEPLOYMENT_RESOURCE_ID")


@dataclass(frozen=True)
class Settings:
    """``connections_from`` says who resolves connections: this package, an Azure ML workspace, or promptflow."""

    flow: Path
    connections: Path
    connections_from: str
    engine: str
    host: str
    port: int
    workers: int
    threads: int
    timeout: int
    preload: bool

    def __str__(self) -> str:
        engine = {"flask": "Flask", "fastapi": "FastAPI"}[self.engine]
        workers = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        if self.engine == "flask" and self.threads > 1:
            workers += f" of {self.threads} threads"
        return f"serving {self.flow} on {self.host}:{self.port} with {engine}, {workers}"


def read_settings(environ: Mapping[str, str], cores: int) -> Settings:
    """CannotStartError names every variable that holds what it must not."""
    problems: list[Problem] = []

    def number(name: str, default: int, most: int = 2**31) -> int:
        text = environ.get(name, "").strip()
        if not text:
            return default
        if text.isdecimal() and 1 <= int(text) <= most:
            return int(text)
        upper = f" to {most}" if most < 2**31 else " on"
        problems.append(Problem(name, f"'{text}' is no whole number from 1{upper}", missing=False))
        return default

    engine = environ.get("PROMPTFLOW_SERVING_ENGINE", "").strip().lower() or "flask"
    if engine not in ("flask", "fastapi"):
        problems.append(Problem("PROMPTFLOW_SERVING_ENGINE", f"'{engine}' is neither flask nor fastapi", missing=False))
    try:
        flow = flow_folder(environ)
    except CannotStartError as error:
        problems += error.problems
        flow = Path()
    settings = Settings(
        flow=flow,
        connections=Path(environ.get("FLOWPACK_CONNECTIONS") or "/connections"),
        connections_from=connections_from(environ),
        engine=engine,
        host=environ.get("FLOWPACK_HOST") or "0.0.0.0",  # noqa: S104 - a container is reached from outside
        port=number("FLOWPACK_PORT", 8080, 65535),
        workers=number("PROMPTFLOW_WORKER_NUM", cores),
        threads=number("PROMPTFLOW_WORKER_THREADS", 1),
        # Azure ML lets a request take 300 s; a synchronous worker is killed for being busy longer than this.
        timeout=number("FLOWPACK_TIMEOUT", 330),
        preload=environ.get("FLOWPACK_PRELOAD", "1").strip().lower() not in ("0", "false", "no", "off"),
    )
    if problems:
        raise CannotStartError(problems)
    return settings


def flow_folder(environ: Mapping[str, str], default: Path = Path("/flow")) -> Path:
    """The folder named outright, else the model that Azure ML mounted, else the flow in the image.

    Azure ML mounts the model's folder inside ``AZUREML_MODEL_DIR``; an endpoint without a model leaves it empty.
    """
    named = environ.get("PROMPTFLOW_PROJECT_PATH") or environ.get("PF_PROJECT_PATH")
    if named:
        return _with_flow(Path(named), "PROMPTFLOW_PROJECT_PATH")
    mounted = Path(environ["AZUREML_MODEL_DIR"]) if environ.get("AZUREML_MODEL_DIR") else None
    if mounted and mounted.is_dir() and any(mounted.iterdir()):
        inside = sorted(path for path in mounted.iterdir() if path.is_dir())
        for folder in (mounted, *inside):
            if _is_flow(folder):
                return folder
        raise CannotStartError(
            [Problem("AZUREML_MODEL_DIR", f"no flow in {mounted}, nor in a folder of it", missing=False)]
        )
    return _with_flow(default, "PROMPTFLOW_PROJECT_PATH")


def connections_from(environ: Mapping[str, str]) -> str:
    """A workspace serves the connections in an Azure ML deployment whose image has the packages to ask it.

    Another image takes them from the environment there, as everywhere else. promptflow's own provider is left in
    charge where its own variables ask for one.
    """
    if names_workspace(environ):
        able = all(_installed(module) for module in ("azure.identity", "azure.ai.ml"))
        return FROM_WORKSPACE if able else FROM_ENVIRONMENT
    if environ.get("PF_CONNECTION_PROVIDER", "").startswith("azureml:"):
        return FROM_PROMPTFLOW
    return FROM_PROMPTFLOW if environ.get("PF_HTTP_CONNECTION_PROVIDER_ENDPOINT") else FROM_ENVIRONMENT


def names_workspace(environ: Mapping[str, str]) -> bool:
    provider = environ.get("PROMPTFLOW_CONNECTION_PROVIDER", "")
    return provider.startswith("azureml:") or any(environ.get(name) for name in _WORKSPACE_VARIABLES)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _with_flow(folder: Path, variable: str) -> Path:
    if _is_flow(folder):
        return folder.absolute()
    expected = "flow.dag.yaml, flow.flex.yaml or a .prompty file"
    raise CannotStartError([Problem(variable, f"{folder} holds no {expected}", missing=False)])


def _is_flow(folder: Path) -> bool:
    """MLflow keeps a flow below the folder with its MLmodel file, which promptflow follows."""
    patterns = (*_FLOW_FILES, "MLmodel")
    return folder.is_dir() and any(True for pattern in patterns for _ in folder.glob(pattern))
