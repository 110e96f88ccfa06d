"""FP401 to FP404: the connections of a flow, their secrets, and the variables that they need."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from flowpack.checks.azure_documents import AzureDocument, Kind
from flowpack.checks.findings import Severity
from flowpack.checks.registry import Problem, rule
from flowpack.checks.secrets import secrets_in
from flowpack.checks.subject import Subject
from flowpack.checks.values import at, fields_of, items_of, text_of
from flowpack.documents.yaml_documents import Value
from flowpack.errors import Location
from flowpack.flows.connections import shell_name
from flowpack.flows.variables import flow_variables
from flowpack.reading import DOCUMENT_BYTES, read_bytes

_SECRET_KEY = re.compile(r"(?:^|_)(?:api_?key|access_?key|account_?key|client_?secret|password|passwd|secret)$", re.I)
_PLACEHOLDER = re.compile(r"[<>\[\]*]|^(?:x+|\.+|-+|none|null|todo|changeme|change[-_ ]me|your\b.*|your[-_].*)$", re.I)
_WORKSPACES = ("PRT_CONFIG_OVERRIDE", "PROMPTFLOW_CONNECTION_PROVIDER", "PF_CONNECTION_PROVIDER")
_FLOW = "the flow"


@rule("FP401", "no-connection", Severity.ERROR, "An LLM node names no connection.")
def no_connection(subject: Subject) -> Iterator[Problem]:
    for node in subject.nodes:
        if node.type == "llm" and not text_of(node.fields.get("connection")) and "connection" not in node.inputs:
            yield Problem(
                f"node '{node.name}' has no connection to call a model with",
                node.location,
                "add connection: and its name",
            )


@rule(
    "FP402",
    "literal-secret",
    Severity.ERROR,
    "A flow file or a deployment document contains a secret.",
    about_secrets=True,
)
def literal_secret(subject: Subject) -> Iterator[Problem]:
    hint = "revoke it, remove it, and pass the new one through a connection or a variable"
    texts = [subject.document] if subject.document else []
    texts += [each.root.document for each in subject.documents if each.root]
    for document in texts:
        told = set()
        whole = read_bytes(
            document.path, limit=DOCUMENT_BYTES, within=subject.roots.folders
        )  # including the text around a prompty's front matter
        for secret in secrets_in(whole, document.path):
            told.add(secret.location.line)
            yield Problem(f"this looks like {secret.kind}", secret.location, hint)
        for key, value in _named(document.root):
            text = text_of(value)
            if text and _SECRET_KEY.search(key) and _is_literal(text) and value.location.line not in told:
                yield Problem(f"'{key}' is a secret in plain text", value.location, hint)


def _named(value: Value) -> Iterator[tuple[str, Value]]:
    for key, each in fields_of(value).items():
        yield key, each
        yield from _named(each)
    for item in items_of(value):
        yield from _named(item)


def _is_literal(text: str) -> bool:
    return (
        len(text) >= 8 and " " not in text and "${" not in text and "{{" not in text and not _PLACEHOLDER.search(text)
    )


@rule("FP403", "unset-variable", Severity.WARNING, "The deployment does not set a variable that the flow needs.")
def unset_variable(subject: Subject) -> Iterator[Problem]:
    if subject.flow is None or subject.folder is None:
        return
    for document in subject.documents_of(Kind.DEPLOYMENT):
        where = document.get("environment_variables")
        for why, names in _needed(subject, document).items():
            given = {shell_name(name) for name in document.variables}
            missing = [name for name in names if name not in given]
            if missing:
                message = f"{why} needs {', '.join(missing)}, which the deployment does not set"
                hint = f"set it here, or set {_WORKSPACES[0]} if connections come from the workspace"
                yield Problem(message, where.location if where else document.location, hint if why != _FLOW else None)


def _needed(subject: Subject, document: AzureDocument) -> dict[str, tuple[str, ...]]:
    needed = {_FLOW: flow_variables(subject.flow, subject.paths)} if subject.flow else {}
    if any(name in document.variables for name in _WORKSPACES):
        return needed
    for connection in subject.connections:
        # Else it is set to another connection's name, or to the whole connection as JSON.
        if connection.override not in map(shell_name, document.variables):
            needed[f"the connection '{connection.name}'"] = connection.variables
    return needed


@rule("FP404", "variable-of-two", Severity.ERROR, "Two connections need the same environment variable.")
def variable_of_two(subject: Subject) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    mentions = _mentions(subject.root)
    for connection in subject.connections:
        shared = {owners.setdefault(variable, connection.name): variable for variable in connection.variables}
        for other, variable in shared.items():
            if other != connection.name:
                where = mentions.get(connection.name, subject.location)
                message = f"the connections '{other}' and '{connection.name}' both need the variable {variable}"
                yield Problem(message, where, "rename one of the two")


def _mentions(root: Mapping[str, Value]) -> dict[str, Location]:
    """The first place of each text that is a node's connection or one of its inputs."""
    found: dict[str, Location] = {}
    for node in items_of(root.get("nodes")):
        for value in (at(node, "connection"), *fields_of(at(node, "inputs")).values()):
            text = text_of(value)
            if value is not None and text is not None and text not in found:
                found[text] = value.location
    return found
