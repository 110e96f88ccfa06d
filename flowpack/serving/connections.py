"""Connections from documents, a source and the environment: promptflow's whole override contract.

A connection's document is in the connections folder, as ``pf flow build`` writes it. If a source is named, such
as a workspace, its connections are used instead. The environment may

- replace it whole: a variable named as the connection, spaces as ``_``, holds another connection's name, or JSON (a
  document, what promptflow's executor takes, or a workspace's form; JSON without a type changes single fields);
- set one field: ``<CONNECTION>_<FIELD>``, upper case, spaces as ``_``; both names also with ``_`` for every other
  character that a shell does not allow;
- fill a reference: the value ``${env:X}`` in a document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .connection_fields import CUSTOM, CUSTOM_PREFIX, ConnectionType, from_workspace, type_named
from .problems import CannotStartError, Problem
from .sources import Answer, Source

_REFERENCE = re.compile(r"^\s*\$\{env:(.+)}\s*$")
_KEYS_OF_DOCUMENT = {"$schema", "type", "name", "module", "custom_type", "package", "package_version"}

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Connection:
    name: str
    type: ConnectionType
    configs: Mapping[str, Any]
    secrets: Mapping[str, Any]

    def to_executor(self) -> dict[str, Any]:
        """The form that promptflow's executor and its DictConnectionProvider take."""
        values = {**self.configs, **self.secrets}
        return {
            "name": self.name,
            "type": self.type.class_name,
            "module": self.type.module,
            "value": {key: value for key, value in values.items() if value is not None},
            "secret_keys": list(self.secrets),
        }


class Connections:
    """The connections that are known so far; ``learn`` adds to them."""

    def __init__(
        self,
        documents: Mapping[str, Document],
        environ: Mapping[str, str],
        source: Source | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._documents = documents
        self._environ = environ
        self._source = source
        self._tell = tell
        self._known: dict[str, Connection] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._known))

    def __getitem__(self, name: str) -> Connection:
        self.learn([name])
        return self._known[name]

    def learn(self, names: Iterable[str]) -> None:
        """CannotStartError tells at once what any of them lacks."""
        unknown = sorted({*names} - self._known.keys())
        documents, answer = self._ask(unknown)
        problems: list[Problem] = []
        for name in unknown:
            try:
                self._known[name] = _resolve(name, documents, self._environ)
            except CannotStartError as error:
                problems += error.problems
                target = _target(name, self._environ)
                if target in answer.absent:
                    held = f"for '{name}'" if target == name else f"with the name that {_override(name)} holds"
                    problems.append(Problem(str(self._source), f"has no connection {held}", missing=False))
        if problems:
            raise CannotStartError([*problems, *answer.problems])
        for problem in answer.problems:
            self._tell(f"connections come from the environment alone: {problem.name}: {problem.reason}")

    def _ask(self, names: Iterable[str]) -> tuple[Mapping[str, Document], Answer]:
        """The documents once the source has had its say on every connection that no variable gives whole.

        A document that tells no field says only that the flow uses such a connection.
        """
        wanted = sorted({target for name in names if (target := _target(name, self._environ))})
        if self._source is None or not wanted:
            return self._documents, Answer()
        answer = self._source.ask(wanted)
        telling = {
            name: document
            for name, document in self._documents.items()
            if any(value for key, value in document.items() if key not in _KEYS_OF_DOCUMENT)
        }
        return {**telling, **answer.found}, answer


def _target(name: str, environ: Mapping[str, str]) -> str | None:
    """The connection to look for: another one where a variable says so, none where it gives a whole connection."""
    given, data = _named_variable(name, environ)
    if isinstance(data, dict):
        return None if {"type", "properties"} & data.keys() else name
    return given or name


def _named_variable(name: str, environ: Mapping[str, str]) -> tuple[str, Any]:
    """What the variable named as the connection holds: its text, and its data where that is JSON."""
    given = (environ.get(name.replace(" ", "_")) or environ.get(_override(name), "")).strip()
    try:
        return given, json.loads(given)
    except ValueError:
        return given, None


def _override(name: str) -> str:
    """The variable that replaces the whole connection, as a shell can set it."""
    return re.sub(r"\W", "_", name)


def variable(connection: str, field: str) -> str:
    """The variable of a field, as a shell can set it."""
    return re.sub(r"\W", "_", f"{connection}_{field}").upper()


def _given(connection: str, field: str, environ: Mapping[str, str]) -> str | None:
    """By promptflow's name, which has spaces alone replaced, else by the one that a shell can set."""
    name = f"{connection.replace(' ', '_')}_{field}".upper()
    return environ.get(name, environ.get(variable(connection, field)))


def _resolve(name: str, documents: Mapping[str, Document], environ: Mapping[str, str]) -> Connection:
    connection = _with_fields(_connection(name, _document(name, documents, environ)), environ)
    problems: list[Problem] = []
    filled = replace(
        connection,
        configs=_filled(name, connection.configs, environ, problems),
        secrets=_filled(name, connection.secrets, environ, problems),
    )
    told = {problem.reason for problem in problems}
    problems += [problem for problem in _left_out(filled) if problem.reason not in told]
    if problems:
        raise CannotStartError(problems)
    return filled


def _document(name: str, documents: Mapping[str, Document], environ: Mapping[str, str]) -> Document:
    """The connection's document once a variable named as the connection has had its say."""
    given, data = _named_variable(name, environ)
    if not given:
        if name in documents:
            return _document_of(documents[name], name)
        reason = f"connection '{name}' is not in the image: its JSON, or the name of one that is"
        raise CannotStartError([Problem(_override(name), reason)])
    if isinstance(data, dict):
        return _document_of(data, name, documents.get(name))
    if given in documents:
        return _document_of(documents[given], name)
    others = ", ".join(f"'{each}'" for each in documents) or "none"
    raise _wrong(name, f"{_override(name)} is neither JSON nor the name of a connection; the image has {others}")


def _document_of(data: Document, name: str, document: Document | None = None) -> Document:
    """From each of the forms that a whole connection comes in; ``document`` is what single fields add to."""
    if "properties" in data:
        told = from_workspace(data)
        if told is None:
            raise _wrong(name, "a category of connection that promptflow does not know")
        return told
    if "type" not in data:
        if document is None:
            raise _wrong(name, "it has no type")
        return {**_document_of(document, name), **data}
    values = data.get("value")
    if not isinstance(values, dict):
        return data
    if type_named(data["type"]) is not CUSTOM:
        return {"type": data["type"], **values}
    secret = set(data.get("secret_keys") or ())
    return {
        "type": "custom",
        "configs": {key: value for key, value in values.items() if key not in secret},
        "secrets": {key: value for key, value in values.items() if key in secret},
    }


def _wrong(name: str, reason: str) -> CannotStartError:
    return CannotStartError([Problem(_override(name), f"connection '{name}': {reason}", missing=False)])


def _connection(name: str, document: Document) -> Connection:
    kind = type_named(document.get("type", ""))
    if kind is None:
        raise _wrong(name, f"promptflow knows no type {document.get('type')!r}")
    if kind is CUSTOM:
        configs = dict(document.get("configs") or {})
        if document.get("custom_type"):  # the executor makes the package's own class of it by these keys
            for key in ("custom_type", "module", "package", "package_version"):
                if document.get(key):
                    configs.setdefault(CUSTOM_PREFIX + key, document[key])
        return Connection(name, kind, configs, dict(document.get("secrets") or {}))
    fields = {key: value for key, value in document.items() if key not in _KEYS_OF_DOCUMENT}
    secrets = {"api_key": fields.pop("api_key", None)}
    return Connection(name, kind, fields, secrets)


def _with_fields(connection: Connection, environ: Mapping[str, str]) -> Connection:
    known = () if connection.type is CUSTOM else connection.type.fields
    names = dict.fromkeys((*connection.secrets, *connection.configs, *known))
    found = {key: _given(connection.name, key, environ) for key in names}
    given = {key: value for key, value in found.items() if value is not None}
    secrets = {key: given.pop(key, value) for key, value in connection.secrets.items()}
    return _keyless(replace(connection, configs={**connection.configs, **given}, secrets=secrets))


def _keyless(connection: Connection) -> Connection:
    """A connection that signs in with Entra ID has no key, even if its document asks for one."""
    if connection.type is CUSTOM or connection.configs.get("auth_mode") != "meid_token":
        return connection
    return replace(connection, secrets={})


def _filled(
    name: str, values: Mapping[str, Any], environ: Mapping[str, str], problems: list[Problem]
) -> dict[str, Any]:
    filled = {}
    for key, value in values.items():
        match = _REFERENCE.match(value) if isinstance(value, str) else None
        if match and match[1] not in environ:
            problems.append(Problem(match[1], f"connection '{name}', {key}"))
        filled[key] = environ.get(match[1]) if match else value
    return filled


def _left_out(connection: Connection) -> list[Problem]:
    """Fields without a default that are absent or empty; an empty value in a custom connection may be meant."""
    if connection.type is CUSTOM:
        return []
    needed = (*connection.type.needed, *connection.secrets)
    values = {**connection.configs, **connection.secrets}
    return [
        Problem(variable(connection.name, key), f"connection '{connection.name}', {key}")
        for key in needed
        if not values.get(key)
    ]


def read_documents(folder: Path) -> tuple[dict[str, Document], list[Problem]]:
    """Every ``*.yaml`` of the connections folder by its connection's name; a broken one is a problem."""
    from ruamel.yaml import YAML  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

    documents: dict[str, Document] = {}
    problems: list[Problem] = []
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        except Exception as error:  # ruamel's errors share no public base
            problems.append(Problem(str(path), f"cannot be read: {type(error).__name__}", missing=False))
            continue
        if isinstance(document, dict) and document.get("name"):
            documents[str(document["name"])] = document
        else:
            problems.append(Problem(str(path), "no connection: expected a mapping with a name", missing=False))
    return documents, problems
