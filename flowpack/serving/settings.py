"""What the environment says about how to serve; the names are promptflow's, the defaults fit a container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .problems import CannotStartError, Problem, nearest
from .sources import can_sign_in, is_deployment

_FLOW = Path("/flow")
_OF_THE_SERVER = (
    "FLOWPACK_BODY_TIMEOUT",
    "FLOWPACK_CONNECTIONS",
    "FLOWPACK_FULL_SDK",
    "FLOWPACK_HEADER_TIMEOUT",
    "FLOWPACK_HOST",
    "FLOWPACK_IMAGE_TIMEOUT",
    "FLOWPACK_MAX_BODY_MB",
    "FLOWPACK_PORT",
    "FLOWPACK_PRELOAD",
    "FLOWPACK_TIMEOUT",
)
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_FLOW_FILES = ("flow.dag.yaml", "flow.dag.yml", "flow.flex.yaml", "flow.flex.yml", "*.prompty")


@dataclass(frozen=True)
class Settings:
    """``azureml`` says that promptflow is to report as a deployment of Azure ML."""

    flow: Path
    connections: Path
    azureml: bool
    engine: str
    host: str
    port: int
    workers: int
    threads: int
    timeout: int
    header_timeout: int
    body_timeout: int
    max_body_mb: int
    image_timeout: int
    preload: bool

    def __str__(self) -> str:
        engine = {"flask": "Flask", "fastapi": "FastAPI"}[self.engine]
        workers = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        if self.engine == "flask" and self.threads > 1:
            workers += f" of {self.threads} threads"
        return f"serving {self.flow} on {self.host}:{self.port} with {engine}, {workers}"


def read_settings(environ: Mapping[str, str], cores: int) -> tuple[Settings, list[Problem]]:
    """A variable with an invalid value is a problem; its default is used."""
    problems: list[Problem] = []

    def number(name: str, default: int, most: int = 2**31) -> int:
        text = environ.get(name, "").strip()
        if not text:
            return default
        if text.isdecimal() and 1 <= int(text) <= most:
            return int(text)
        upper = f" to {most}" if most < 2**31 else " on"
        problems.append(Problem(name, f"'{text}' is not a whole number from 1{upper}", missing=False))
        return default

    def switch(name: str) -> bool:
        text = environ.get(name, "").strip().lower()
        if text not in ("", *_YES, *_NO):
            problems.append(Problem(name, f"'{text}' is neither 1 nor 0", missing=False))
        return text not in _NO

    engine = environ.get("PROMPTFLOW_SERVING_ENGINE", "").strip().lower() or "flask"
    if engine not in ("flask", "fastapi"):
        problems.append(Problem("PROMPTFLOW_SERVING_ENGINE", f"'{engine}' is neither flask nor fastapi", missing=False))
    try:
        flow = flow_folder(environ)
    except CannotStartError as error:
        problems += error.problems
        flow = _FLOW
    settings = Settings(
        flow=flow,
        connections=Path(environ.get("FLOWPACK_CONNECTIONS") or "/connections"),
        azureml=is_deployment(environ) and can_sign_in(),
        engine=engine,
        host=environ.get("FLOWPACK_HOST") or "0.0.0.0",  # noqa: S104 - a container is reached from outside
        port=number("FLOWPACK_PORT", 8080, 65535),
        workers=number("PROMPTFLOW_WORKER_NUM", cores),
        threads=number("PROMPTFLOW_WORKER_THREADS", 1),
        # Azure ML lets a request take 300 s; a synchronous worker is killed for being busy longer than this.
        timeout=number("FLOWPACK_TIMEOUT", 330),
        header_timeout=number("FLOWPACK_HEADER_TIMEOUT", 20, 3600),
        body_timeout=number("FLOWPACK_BODY_TIMEOUT", 120, 3600),
        max_body_mb=number("FLOWPACK_MAX_BODY_MB", 100, 2000),
        image_timeout=number("FLOWPACK_IMAGE_TIMEOUT", 20, 300),
        preload=switch("FLOWPACK_PRELOAD"),
    )
    return settings, [*problems, *misspelled(environ)]


def misspelled(environ: Mapping[str, str]) -> list[Problem]:
    """Variables that do nothing and are nearly called as one of the server's.

    Others may be flowpack's own, of the machine that starts the server without an engine.
    """
    unknown = [name for name in environ if name.startswith("FLOWPACK_") and name not in _OF_THE_SERVER]
    meant = {name: nearest(name, _OF_THE_SERVER, cutoff=0.85) for name in unknown}
    return [
        Problem(name, f"the server has no such setting; did you mean {near}?", missing=False)
        for name, near in meant.items()
        if near
    ]


def flow_folder(environ: Mapping[str, str], default: Path = _FLOW) -> Path:
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


def _with_flow(folder: Path, variable: str) -> Path:
    if _is_flow(folder):
        return folder.absolute()
    expected = "flow.dag.yaml, flow.flex.yaml or a .prompty file"
    raise CannotStartError([Problem(variable, f"{folder} holds no {expected}", missing=False)])


def _is_flow(folder: Path) -> bool:
    """MLflow keeps a flow below the folder with its MLmodel file, which promptflow follows."""
    patterns = (*_FLOW_FILES, "MLmodel")
    return folder.is_dir() and any(True for pattern in patterns for _ in folder.glob(pattern))
