"""Every reader of what a stranger may have written, with its file and the frames that lead into its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import flowpack.flows.flex
import flowpack.flows.prompty
import flowpack.flows.templates  # noqa: F401
from flowpack.assembly.ignore import IgnoreRules
from flowpack.checks.baseline import Baseline
from flowpack.checks.run import check
from flowpack.cli.inputs import InputOptions
from flowpack.cli.serving_options import VariableOptions
from flowpack.dependencies.conda_file import with_conda_file
from flowpack.dependencies.lock_format import parse_lock
from flowpack.dependencies.requirements import Requirements, read_requirements
from flowpack.dependencies.target import DEFAULT_PYTHON, Platform, Target
from flowpack.documents.yaml_documents import read_document
from flowpack.flows.connections import find_connections
from flowpack.flows.local_imports import find_missing_imports
from flowpack.flows.reader import read_flow
from flowpack.flows.signatures import read_entry, read_tools
from flowpack.flows.tool_sources import ToolSource
from flowpack.images.base import find_base
from flowpack.running.scoring import sample_input
from flowpack.running.variables import server_variables
from tests.hostile.shapes import Frame

_PLAIN = Frame()
_DAG = (
    "inputs:\n  a: {type: string}\noutputs:\n  b: {type: string, reference: '${n.output}'}\nnodes:\n- name: n\n"
    "  type: prompt\n"
)


@dataclass(frozen=True, slots=True)
class Reader:
    """``read`` is given the folder in which ``file`` has the hostile text, beside the ``others``."""

    name: str
    file: str
    read: Callable[[Path], object]
    frames: tuple[Frame, ...] = (_PLAIN,)
    others: Mapping[str, str] = field(default_factory=dict)

    def lay(self, folder: Path, content: str | bytes) -> None:
        for name, text in (*self.others.items(), (self.file, content)):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)


def _yaml(folder: Path) -> object:
    return read_document(folder / "document.yaml", within=None).root.data


def _flow(folder: Path) -> object:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    flow = read_flow(folder)
    return flow, find_connections(flow, files)


def _check(folder: Path) -> object:
    return check([str(folder)], use_cache=False, processes=1)


def _python(folder: Path) -> object:
    source = ToolSource.read(folder / "tool.py", within=None)
    if source is None:
        return None
    names = [*source.definitions][:50]
    return read_tools(source), source.connection_parameters, [read_entry(source, name) for name in names]


def _imports(folder: Path) -> object:
    flow = read_flow(folder)
    return list(find_missing_imports(flow, {"tool.py": folder / "tool.py"}, folder.parent, frozenset))


def _requirements(folder: Path) -> object:
    return read_requirements("requirements.txt", {"requirements.txt": folder / "requirements.txt"})


def _lock(folder: Path) -> object:
    return parse_lock((folder / "requirements.lock").read_text(encoding="utf-8", errors="replace"))


def _ignore(folder: Path) -> object:
    rules = IgnoreRules.of(folder)
    names = ["a" * 100 + ".py", "src/" + "ab" * 60, "a b/c-1.txt"]
    return [rules.why_out(name, str(folder / name), False) for name in names]


def _conda(folder: Path) -> object:
    target = Target.parse(DEFAULT_PYTHON, str(Platform.of_this_machine()))
    return with_conda_file(Requirements(), "conda.yaml", {"conda.yaml": folder / "conda.yaml"}, target)


def _base(folder: Path) -> object:
    return find_base(base_image=None, environment_image=None, flow_folder=folder, root=folder)


def _settings(folder: Path) -> object:
    return server_variables(folder, environ={"SPEAKS": "a"}).values


def _samples(folder: Path) -> object:
    return sample_input(read_flow(folder))


def _inputs(folder: Path) -> object:
    return InputOptions(file=folder / "inputs.json", inputs=()).given()


def _variables(folder: Path) -> object:
    return VariableOptions(env_file=folder / "variables.env", variables=()).values()


def _baseline(folder: Path) -> object:
    return Baseline.read(folder / "baseline.json")


_TOOL_FLOW = {
    "flow.dag.yaml": "inputs: {}\noutputs: {}\nnodes:\n- name: n\n  type: python\n"
    "  source: {type: code, path: tool.py}\n"
}
_TEMPLATE_FLOW = {
    "flow.dag.yaml": "inputs: {}\noutputs: {}\nnodes:\n- name: n\n  type: prompt\n"
    "  source: {type: code, path: a.jinja2}\n"
    "  inputs: {question: a, context: b}\n"
}
_FLOW_OF_ONE = {"flow.dag.yaml": _DAG}
_JSON_FRAMES = (_PLAIN, Frame("[", "]"), Frame('{"a": "', '"}'), Frame('{"a": ', "}"))
_PYTHON_FRAMES = (
    _PLAIN,
    Frame("from promptflow.core import tool\nfrom typing import *\n"),
    Frame("@tool\ndef f(", "): pass\n"),
    Frame("class A:\n def f(self, a: ", "): pass\n"),
    Frame("x = (", ")\n"),
    Frame("x = '", "'\n"),
)

READERS = (
    Reader(
        "YAML", "document.yaml", _yaml, (_PLAIN, Frame("a: "), Frame("a: [", "]"), Frame('a: "', '"'), Frame("a: |\n "))
    ),
    Reader(
        "flow.dag.yaml",
        "flow.dag.yaml",
        _flow,
        (_PLAIN, Frame(_DAG), Frame("nodes: []\n"), Frame(_DAG + "  inputs: {a: '", "'}\n")),
        {"tool.py": "def f(): pass\n" * 100},
    ),
    Reader(
        "flow.flex.yaml",
        "flow.flex.yaml",
        _flow,
        (Frame("entry: main:f\n"), Frame("entry: ", ":f\n"), Frame("entry: main:f\nsample: ")),
        {"main.py": "def f(a: str) -> str:\n    return a\n"},
    ),
    Reader(
        "prompty",
        "a.prompty",
        _flow,
        (
            _PLAIN,
            Frame("---\nmodel: {}\n---\n"),
            Frame("---\n", "\n---\nhello\n"),
            Frame("---\nmodel:\n  api: ", "\n---\n"),
        ),
    ),
    Reader(
        "Jinja", "a.jinja2", _check, (_PLAIN, Frame("{{ ", " }}"), Frame("{% if ", " %}{% endif %}")), _TEMPLATE_FLOW
    ),
    Reader("Python signatures", "tool.py", _python, _PYTHON_FRAMES),
    Reader(
        "Python imports",
        "tool.py",
        _imports,
        (_PLAIN, Frame("import "), Frame("import sys\n")),
        {**_TOOL_FLOW, "../beside.py": ""},
    ),
    Reader(
        "requirements", "requirements.txt", _requirements, (_PLAIN, Frame("a"), Frame("a ; "), Frame("--find-links "))
    ),
    Reader("lock", "requirements.lock", _lock, (_PLAIN, Frame("a==1 \\\n"), Frame("# flowpack\n# content: "))),
    Reader("ignore file", ".flowpackignore", _ignore, (_PLAIN, Frame("a", "b"))),
    Reader(
        "conda file", "conda.yaml", _conda, (_PLAIN, Frame("dependencies:\n"), Frame("dependencies:\n- pip:\n  - "))
    ),
    Reader("Dockerfile.base", "Dockerfile.base", _base, (_PLAIN, Frame("FROM a "))),
    Reader("env file", "variables.env", _variables, (_PLAIN, Frame("A="))),
    Reader("settings.json", "settings.json", _settings, _JSON_FRAMES),
    Reader("samples.json", "samples.json", _samples, _JSON_FRAMES, _FLOW_OF_ONE),
    Reader("inputs", "inputs.json", _inputs, _JSON_FRAMES),
    Reader(
        "baseline",
        "baseline.json",
        _baseline,
        (_PLAIN, Frame('{"version": 1, "findings": [', "]}"), Frame('{"version": ', "}")),
    ),
    Reader(
        "check: a flow",
        "flow.dag.yaml",
        _check,
        (Frame(_DAG), Frame(_DAG + "  inputs:\n    a: '", "'\n"), _PLAIN),
        {"tool.py": "from promptflow.core import tool\n\n@tool\ndef f(a: str) -> str:\n    return a\n"},
    ),
    Reader("check: a source", "tool.py", _check, _PYTHON_FRAMES[:3], _TOOL_FLOW),
    Reader(
        "check: a deployment",
        "deployment.yaml",
        _check,
        (Frame("endpoint_name: a\n"), Frame("endpoint_name: a\nenvironment_variables:\n  A: ")),
        _FLOW_OF_ONE,
    ),
)


def reader(name: str) -> Reader:
    return next(each for each in READERS if each.name == name)
