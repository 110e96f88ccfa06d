"""Finds the source of a flex flow's entry, and refuses a signature that promptflow's server stops at."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from flowpack.documents.yaml_documents import Value
from flowpack.errors import InputError, RequirementsError, nearest
from flowpack.flows.fields import SERVED_TYPES
from flowpack.flows.model import Include
from flowpack.flows.python_source import Function, PythonSource
from flowpack.flows.resolve import module_files, standalone_source
from flowpack.flows.signatures import EntrySignature, Parameter, read_entry
from flowpack.reading import DOCUMENT_BYTES, is_file, is_folder, read_bytes

_PLAIN_DECORATORS = {"trace", "dataclass"}
_NOT_STARTED = "promptflow's server stops at this when it starts"


@dataclass(frozen=True, slots=True)
class Entry:
    """``is_certain`` is true if no decorator may have changed the signature in the source."""

    name: str
    signature: EntrySignature
    is_certain: bool


def find_entry(
    flow_file: Path, root: Mapping[str, Value], module: str, name: str, includes: tuple[Include, ...]
) -> Entry | None:
    """None if only running the code would show the entry: a package has it, or the module creates it at run time."""
    folder, value = flow_file.parent, root["entry"]
    code = root.get("code")
    base = "" if code is None or code.is_null else _inside(code)
    path = _module_source(folder, includes, base, module)
    if path is None:
        beside = _modules(folder / base, module)
        if not _may_be_of_a_package(folder, root, module, beside):
            raise value.error(f"the flow has no module '{module}'", _near_module(module, beside, name))
        return None
    source = PythonSource.read(path, value.document.within)
    if source is None:
        return None
    if path.name != "__init__.py":
        _check_imports(source)
    signature = read_entry(source, name)
    if signature is None:
        _check_defined(source, value, name, path)
        return None
    entry = Entry(name, signature, _is_plain(source, name))
    if entry.is_certain:
        _check_served(entry)
    return entry


def _module_source(folder: Path, includes: tuple[Include, ...], base: str, module: str) -> Path | None:
    found = (standalone_source(folder, includes, base + file) for file in module_files(module))
    return next((path for path in found if path), None)


def _inside(code: Value) -> str:
    """``code``, the folder of the sources, as a prefix of paths in the standalone folder."""
    parts = [part for part in code.string("a folder").replace("\\", "/").split("/") if part not in {"", "."}]
    if ".." in parts or code.data.startswith("/"):
        hint = "add the folder to additional_includes, and write only its last part here"
        raise code.error(f"'{code.data}' is outside the flow folder", hint)
    return "".join(f"{part}/" for part in parts)


def _may_be_of_a_package(folder: Path, root: Mapping[str, Value], module: str, beside: list[str]) -> bool:
    """Whether a package could have the module: the requirements mention it, or no module of the flow is named alike."""
    environment = root.get("environment")
    stated = environment.data if environment is not None and isinstance(environment.data, dict) else {}
    requirements = folder / str(stated.get("python_requirements_txt") or "requirements.txt")
    top = module.partition(".")[0]
    if is_file(requirements):
        within = root["entry"].document.within
        content = read_bytes(requirements, limit=DOCUMENT_BYTES, within=within, error=RequirementsError)
        text = content.decode("utf-8", "replace").lower().replace("_", "-")
        if top.lower().replace("_", "-") in text:
            return True
    elif not any(stated.get(name) for name in ("python_requirements_txt", "conda_file", "image", "setup_sh")):
        return False
    return not is_folder(folder / top) and nearest(module, beside) is None


def _modules(folder: Path, module: str) -> list[str]:
    """The modules in the folder where the module should be."""
    package = module.rpartition(".")[0]
    beside = folder.joinpath(*package.split(".")) if package else folder
    return sorted(f"{package}.{path.stem}".lstrip(".") for path in (beside.glob("*.py") if is_folder(beside) else ()))


def _near_module(module: str, beside: list[str], name: str) -> str:
    near = nearest(module, beside) or (beside[0] if len(beside) == 1 else None)
    if near:
        return f"did you mean '{near}:{name}'?"
    return "put the module into the flow folder, or add it to additional_includes"


def _check_imports(source: PythonSource) -> None:
    for statement in source.tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.level:
            raise InputError(
                "promptflow loads the entry's file by itself, so a relative import fails",
                location=source.location(statement),
                hint=f"import by the path from the flow folder: from package.{statement.module or 'module'} import ...",
            )


def _check_defined(source: PythonSource, value: Value, name: str, path: Path) -> None:
    definition = source.defined(name)
    if isinstance(definition, ast.ClassDef):
        if source.lineage(definition)[1] <= {"object"}:
            raise InputError(
                f"class '{name}' is the flow's entry, but has no __call__",
                location=source.location(definition),
                hint="add a method that takes the inputs: def __call__(self, question: str) -> str",
            )
    elif definition is None and not source.imported_names.keys() & {name, "*", "__getattr__"}:
        named = [each for each, node in source.definitions.items() if not isinstance(node, ast.expr)]
        near = nearest(name, named)
        hint = f"did you mean '{near}'?" if near else f"it has: {', '.join(named) or 'no function or class'}"
        raise value.error(f"'{path.name}' has no '{name}'", hint)


def _is_plain(source: PythonSource, name: str) -> bool:
    definition = source.defined(name)
    decorated: list[Function | ast.ClassDef] = []
    if isinstance(definition, ast.ClassDef):
        methods = (source.method(definition, method) for method in ("__call__", "__init__"))
        decorated = [definition, *(each for each in methods if each)]
    elif isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef)):
        decorated = [definition]
    decorators = (each.func if isinstance(each, ast.Call) else each for one in decorated for each in one.decorator_list)
    return {source.full_name(each).rpartition(".")[2] for each in decorators} <= _PLAIN_DECORATORS


def _check_served(entry: Entry) -> None:
    signature = entry.signature
    if signature.why_not_served:
        message = f"'{entry.name}' {signature.why_not_served}"
        raise InputError(message, location=signature.location, hint=_NOT_STARTED)
    for what, parameter in _parameters(signature):
        why = parameter.why_not_served
        if why is None and what != "init parameter" and parameter.types[0] not in SERVED_TYPES:
            why = f"has the type '{parameter.types[0]}', which a request cannot carry"
        if why:
            named = f"{what} '{parameter.name}' of '{entry.name}' {why}"
            raise InputError(named, location=parameter.location, hint=_NOT_STARTED)


def _parameters(signature: EntrySignature) -> Iterator[tuple[str, Parameter]]:
    groups = {"input": signature.inputs, "output": signature.outputs, "init parameter": signature.init}
    for what, parameters in groups.items():
        yield from ((what, each) for each in (parameters or {}).values())
