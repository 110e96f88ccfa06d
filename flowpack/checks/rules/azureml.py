"""FP501 to FP510: mistakes in Azure ML's model and endpoint documents that azure-ai-ml accepts.

The limits and their sources: docs/reference/rules/README.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from flowpack.azureml.limits import (
    LONGEST_MODEL_NAME,
    LONGEST_NAME,
    LONGEST_NAMES_ON_KUBERNETES,
    MODEL_NAME,
    MOST_DEPLOYMENTS,
    MOST_MIRRORED,
    NAME,
    SHORTEST_NAME,
)
from flowpack.checks.azure_documents import AzureDocument, Kind, is_filled_in
from flowpack.checks.findings import Severity
from flowpack.checks.registry import Problem, rule
from flowpack.checks.subject import Subject
from flowpack.checks.values import at, fields_of, number_of, text_of
from flowpack.documents.yaml_documents import Value
from flowpack.errors import nearest
from flowpack.reading import is_there

_PREFIX = "azureml.promptflow."
_SOURCE = f"{_PREFIX}source_flow_id"
_CHAT = ("mode", "chat_input", "chat_output")


@rule("FP501", "azure-document", Severity.ERROR, "A model, endpoint or deployment document cannot be read.")
def azure_document(subject: Subject) -> Iterator[Problem]:
    for document in subject.documents:
        if document.error:
            yield Problem.of(document.error, document.location)


@rule("FP502", "endpoint-name", Severity.ERROR, "Azure ML does not accept the name of an endpoint or a deployment.")
def endpoint_name(subject: Subject) -> Iterator[Problem]:
    for document in subject.documents_of(Kind.ENDPOINT, Kind.DEPLOYMENT):
        for key in ("name", "endpoint_name"):
            value = document.get(key)
            text = text_of(value)
            if value is None or text is None or is_filled_in(text):
                continue
            if not NAME.fullmatch(text) or not SHORTEST_NAME <= len(text) <= LONGEST_NAME:
                meant = re.sub(r"[^a-zA-Z0-9]+", "-", text).strip("-")[:LONGEST_NAME].rstrip("-")
                allowed = f"use {SHORTEST_NAME} to {LONGEST_NAME} letters, digits and '-', starting with a letter"
                message = f"'{text}' is not a valid name: {allowed}"
                hint = f"use {meant}, for example" if NAME.fullmatch(meant) and len(meant) >= SHORTEST_NAME else None
                yield Problem(message, value.location, hint)
        yield from _kubernetes_names(document)


def _kubernetes_names(document: AzureDocument) -> Iterator[Problem]:
    name, endpoint = document.name, text_of(document.get("endpoint_name"))
    if document.is_kubernetes and name and endpoint and len(name + endpoint) > LONGEST_NAMES_ON_KUBERNETES:
        value = document.fields["name"]
        yield Problem(
            "on Kubernetes the names of the endpoint and the deployment together can have at most "
            f"{LONGEST_NAMES_ON_KUBERNETES} characters",
            value.location,
        )


@rule("FP503", "traffic", Severity.ERROR, "Traffic adds up to more than 100 %, or too much traffic is mirrored.")
def traffic(subject: Subject) -> Iterator[Problem]:
    for document in subject.documents_of(Kind.ENDPOINT):
        for key, most in (("traffic", 100), ("mirror_traffic", MOST_MIRRORED)):
            value = document.get(key)
            shares = [number_of(each) or 0 for each in fields_of(value).values()]
            if value is None or not shares:
                continue
            if min(shares) < 0:
                yield Problem(f"{key} has a share below 0 %", value.location)
            elif sum(shares) > most:
                yield Problem(f"{key} adds up to {sum(shares)} %, but at most {most} % are allowed", value.location)
            if key == "mirror_traffic" and len([each for each in shares if each]) > 1:
                yield Problem("mirrored traffic can go to only one deployment", value.location)


@rule("FP504", "model-name", Severity.ERROR, "Azure ML does not accept the name of a model.")
def model_name(subject: Subject) -> Iterator[Problem]:
    for document in subject.documents_of(Kind.MODEL):
        value = document.get("name")
        text = text_of(value)
        if value is not None and text is not None and not is_filled_in(text) and not MODEL_NAME.fullmatch(text):
            meant = re.sub(r"[^a-zA-Z0-9_]+", "-", text).strip("-_")[:LONGEST_MODEL_NAME]
            message = (
                f"'{text}' is not a valid name for a model: use 1 to {LONGEST_MODEL_NAME} letters, digits, '-' and '_'"
            )
            yield Problem(message, value.location, f"use {meant}, for example" if meant else None)


@rule("FP505", "model-path", Severity.ERROR, "A model's path is missing or does not exist.")
def model_path(subject: Subject) -> Iterator[Problem]:
    for document in subject.documents_of(Kind.MODEL):
        if "path" not in document.fields:
            yield Problem("the model has no path", document.location, "add the standalone flow folder: path: flow")
    for document in subject.documents_of(Kind.MODEL, Kind.DEPLOYMENT):
        value = document.model_path
        path = document.local_path(value)
        if value is not None and path and not is_there(path):
            near = nearest(path.name, (each.name for each in document.path.parent.iterdir()))
            hint = f"did you mean '{near}'?" if near else "write the path relative to the document"
            yield Problem(f"'{value.data}' does not exist", value.location, hint)


@rule("FP506", "promptflow-properties", Severity.WARNING, "The model of a flow lacks the properties of a prompt flow.")
def promptflow_properties(subject: Subject) -> Iterator[Problem]:
    for document in subject.documents_of(Kind.MODEL):
        stated = fields_of(document.get("properties"))
        if not any(key.startswith(_PREFIX) for key in stated) and subject.flow is None:
            continue  # a model of another kind
        value = document.get("properties")
        where = value.location if value else document.location
        if _SOURCE not in stated:
            hint = f"add {_SOURCE}: {subject.flow.name if subject.flow else '<name of the flow>'}"
            yield Problem(f"without {_SOURCE} the studio shows no flow, and requests end after 180 s", where, hint)
        given = [key for key in _CHAT if _PREFIX + key in stated]
        if given and len(given) < len(_CHAT):
            missing = ", ".join(_PREFIX + key for key in _CHAT if key not in given)
            yield Problem(f"a chat flow needs all three properties, but has no {missing}", where)
        yield from _names(subject, stated)


def _names(subject: Subject, stated: dict[str, Value]) -> Iterator[Problem]:
    if subject.flow is None:
        return
    for key, known in (("chat_input", subject.flow.inputs), ("chat_output", subject.flow.outputs)):
        value = stated.get(_PREFIX + key)
        name = text_of(at(value)) if value is not None else None
        if value is not None and name and known and name not in known:
            near = nearest(name, known)
            hint = f"did you mean '{near}'?" if near else f"it has: {', '.join(known)}"
            yield Problem(f"the flow has no {key.removeprefix('chat_')} '{name}'", value.location, hint)


@rule("FP507", "kubernetes-compute", Severity.ERROR, "A Kubernetes endpoint names no compute.")
def kubernetes_compute(subject: Subject) -> Iterator[Problem]:
    for document in subject.documents_of(Kind.ENDPOINT):
        if document.is_kubernetes and not text_of(document.get("compute")):
            message = "without compute, azure-ai-ml creates a managed endpoint instead of a Kubernetes endpoint"
            yield Problem(message, document.location, "add compute: azureml:<attached cluster>")


@rule(
    "FP508", "identity", Severity.ERROR, "The deployment does not sign in with the endpoint's user-assigned identity."
)
def identity(subject: Subject) -> Iterator[Problem]:
    endpoints = subject.documents_of(Kind.ENDPOINT)
    without = {each.name for each in endpoints if not _is_user_assigned(each)}
    for endpoint in endpoints:
        if not _is_user_assigned(endpoint):
            continue
        assigned = endpoint.get("identity", "user_assigned_identities")
        if assigned is not None and isinstance(assigned.data, list) and len(assigned.data) > 1:
            yield Problem("an endpoint can have at most one user-assigned identity", assigned.location)
        if endpoint.name in without:
            continue  # two documents describe this endpoint, and the deployment may belong to the other one
        for deployment in subject.documents_of(Kind.DEPLOYMENT):
            if text_of(deployment.get("endpoint_name")) == endpoint.name and deployment.serves_a_flow:
                yield from _client_id(deployment)


def _is_user_assigned(endpoint: AzureDocument) -> bool:
    return text_of(endpoint.get("identity", "type")) == "user_assigned"


def _client_id(deployment: AzureDocument) -> Iterator[Problem]:
    value, where = deployment.variables.get("AZURE_CLIENT_ID"), deployment.get("environment_variables")
    hint = "set AZURE_CLIENT_ID: <client id of the identity>"
    if value is None:
        endpoint = text_of(deployment.get("endpoint_name"))
        message = f"promptflow does not find the identity of endpoint '{endpoint}' by itself"
        yield Problem(message, where.location if where else deployment.location, hint)
    elif (text_of(value) or "").startswith("/"):
        yield Problem("this is the resource id of an identity, not its client id", value.location, hint)


@rule("FP509", "too-many-deployments", Severity.ERROR, "An endpoint has more deployments than Azure ML allows.")
def too_many_deployments(subject: Subject) -> Iterator[Problem]:
    """Counts the documents of one flow or folder. Elsewhere the name may belong to another workspace."""
    of_endpoints: dict[str, set[str]] = {}
    for document in subject.documents_of(Kind.DEPLOYMENT):
        endpoint = text_of(document.get("endpoint_name")) or ""
        if endpoint and document.name and not is_filled_in(endpoint + document.name):
            names = of_endpoints.setdefault(endpoint, set())
            if document.name not in names and len(names) == MOST_DEPLOYMENTS:
                message = f"endpoint '{endpoint}' already has {MOST_DEPLOYMENTS} deployments and can have no more"
                yield Problem(message, document.fields["name"].location, "delete an old one, or use another endpoint")
            names.add(document.name)


@rule(
    "FP510",
    "secret-stores",
    Severity.WARNING,
    "Access to secrets is granted to an identity that the endpoint does not use.",
)
def secret_stores(subject: Subject) -> Iterator[Problem]:
    for document in subject.documents_of(Kind.ENDPOINT):
        value = document.get("properties", "enforce_access_to_default_secret_stores")
        if value is not None and text_of(document.get("identity", "type")) == "user_assigned":
            message = "this gives the system-assigned identity access, but the endpoint has a user-assigned one"
            hint = "remove it, and give the identity Azure Machine Learning Workspace Connection Secrets Reader"
            yield Problem(message, value.location, hint)
