"""FP521 to FP531: mistakes in Azure ML's deployment documents that azure-ai-ml accepts.

The limits and their sources: docs/reference/rules/README.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from flowpack.assembly.sources import FolderWalk
from flowpack.azureml.limits import LONGEST_REQUEST, LONGEST_REQUEST_OF_OTHERS, MOST_INSTANCES
from flowpack.azureml.models.document import SOURCE_FLOW_ID
from flowpack.checks.azure_documents import AzureDocument, Kind
from flowpack.checks.findings import Edit, Severity
from flowpack.checks.registry import Problem, rule
from flowpack.checks.subject import Subject
from flowpack.checks.values import at, number_of, text_of
from flowpack.documents.json_documents import parse_json
from flowpack.documents.yaml_documents import Value
from flowpack.errors import FlowpackError, InputError, listed, nearest
from flowpack.flows.connections import shell_name
from flowpack.reading import DOCUMENT_BYTES, is_folder, read_text

_WORKER_NUMBERS = ("PROMPTFLOW_WORKER_NUM", "PROMPTFLOW_WORKER_THREADS")
_OF_A_WORKSPACE = ("subscription_id", "resource_group", "workspace_name")
_ROUTES = {"liveness_route": "/health", "readiness_route": "/health", "scoring_route": "/score"}
_PORT = 8080
_WHOLE_CONNECTION = re.compile(r"\s*\$\{\{\s*azureml://connections/[^/}]+\}\}\s*")
_MISSPELT = 0.9  # one letter of ten
_MOST_FILES_TO_BUILD, _MOST_BYTES_TO_BUILD = 100, 1024**2


def _deployments(subject: Subject) -> Iterator[AzureDocument]:
    yield from subject.documents_of(Kind.DEPLOYMENT)


@rule("FP521", "request-timeout", Severity.ERROR, "A request timeout is longer than Azure ML allows.")
def request_timeout(subject: Subject) -> Iterator[Problem]:
    for document in _deployments(subject):
        value = document.get("request_settings", "request_timeout_ms")
        number = number_of(value)
        if value is None or number is None:
            continue
        if not 0 < number <= LONGEST_REQUEST:
            yield Problem(f"{number} ms is not a valid timeout: use 1 to {LONGEST_REQUEST} ms", value.location)
        elif number > LONGEST_REQUEST_OF_OTHERS and not document.is_kubernetes and _model_is_no_flow(subject, document):
            message = f"a model without {SOURCE_FLOW_ID} can have at most {LONGEST_REQUEST_OF_OTHERS} ms"
            hint = f"add the property to the model, which allows {LONGEST_REQUEST} ms"
            yield Problem(message, value.location, hint)


def _model_is_no_flow(subject: Subject, document: AzureDocument) -> bool:
    """Whether the deployed model is in one of these documents, and does not say which flow it is."""
    name = (text_of(document.get("model")) or "").removeprefix("azureml:").partition(":")[0].partition("@")[0]
    seen = [each.properties for each in subject.documents_of(Kind.MODEL) if each.name == name]
    if document.model_path:
        seen.append(document.properties)
    return bool(seen) and not any(SOURCE_FLOW_ID in properties for properties in seen)


@rule("FP522", "instance-count", Severity.ERROR, "A deployment has no instances, or more than Azure ML allows.")
def instance_count(subject: Subject) -> Iterator[Problem]:
    for document in _deployments(subject):
        value = document.get("instance_count")
        number = number_of(value)
        if value is None:
            yield Problem("the deployment has no instance_count", document.location, "add instance_count: 3")
        elif number is not None and number < 1:
            hint = "use at least 1, or 3 for high availability"
            yield Problem(f"{number} instances serve nothing", value.location, hint)
        elif number is not None and number > MOST_INSTANCES and not document.is_kubernetes:
            yield Problem(f"a managed deployment can have at most {MOST_INSTANCES} instances", value.location)


@rule("FP523", "variable-not-text", Severity.ERROR, "The value of an environment variable is not a string.")
def variable_not_text(subject: Subject) -> Iterator[Problem]:
    for document in _deployments(subject):
        for name, value in document.variables.items():
            if not isinstance(value.data, str):
                # The value is not shown: it may be a password of digits.
                message = f"'{name}' is not a string, but Azure ML accepts only strings"
                yield Problem(message, value.location, "quote it", _quoted(value))


def _quoted(value: Value) -> Edit | None:
    """The line with quotes around the value; None if the value is not a number or a boolean on one line."""
    mark, end = value.node.start_mark, value.node.end_mark
    if mark.line != end.line or value.node.tag.rpartition(":")[2] not in {"int", "float", "bool"}:
        return None
    path, line = value.document.path, value.document.text.splitlines()[mark.line]
    quoted = f'{line[: mark.column]}"{line[mark.column : end.column]}"{line[end.column :]}'
    return Edit(path=path, first=mark.line + 1, last=mark.line + 1, lines=(quoted,))


@rule("FP524", "workers", Severity.ERROR, "The number of workers or threads is not valid.")
def workers(subject: Subject) -> Iterator[Problem]:
    for document in _deployments(subject):
        for name in _WORKER_NUMBERS:
            value = document.variables.get(name)
            if value is not None and not re.fullmatch(r"0*[1-9]\d*", str(value.data)):
                yield Problem(f"{name} must be a whole number of 1 or more, not '{value.data}'", value.location)


@rule("FP525", "prt-config-override", Severity.ERROR, "PRT_CONFIG_OVERRIDE does not match the deployment.")
def prt_config_override(subject: Subject) -> Iterator[Problem]:
    for document in _deployments(subject):
        value = document.variables.get("PRT_CONFIG_OVERRIDE")
        text = text_of(value)
        if value is None or text is None:
            continue
        settings = (part.partition("=") for part in text.split(","))
        pairs = {key.strip(): given.strip() for key, _, given in settings}
        missing = [f"deployment.{key}" for key in _OF_A_WORKSPACE if not pairs.get(f"deployment.{key}")]
        if missing:
            hint = "write deployment.<key>=<value>, separated by commas"
            yield Problem(f"promptflow needs {', '.join(missing)} here", value.location, hint)
        for key in ("endpoint_name", "deployment_name"):
            stated = text_of(document.get("endpoint_name" if key == "endpoint_name" else "name"))
            given = pairs.get(f"deployment.{key}")
            if stated and given and _plain(stated) and _plain(given) and given != stated:
                yield Problem(f"deployment.{key} is '{given}', but the deployment says '{stated}'", value.location)


def _plain(text: str) -> bool:
    return re.fullmatch(r"[\w-]+", text) is not None


@rule("FP526", "routes", Severity.ERROR, "A route or port in the document is not one that a flow serves.")
def routes(subject: Subject) -> Iterator[Problem]:
    for document in _deployments(subject):
        config = document.get("environment", "inference_config")
        if config is None or not (document.serves_a_flow or subject.flow):
            continue
        for name, path in _ROUTES.items():
            stated, port = at(config, name, "path"), at(config, name, "port")
            if stated is not None and stated.data != path:
                yield Problem(f"a flow answers this at {path}, not at '{stated.data}'", stated.location)
            if port is not None and port.data != _PORT:
                yield Problem(f"flowpack's images listen on port {_PORT}, not on {port.data}", port.location)


@rule(
    "FP527",
    "evaluation-flow",
    Severity.ERROR,
    "An evaluation flow has a deployment document, but Azure ML cannot deploy it.",
)
def evaluation_flow(subject: Subject) -> Iterator[Problem]:
    node = next((node for node in subject.nodes if node.aggregates), None)
    if node:
        for document in _deployments(subject):
            message = f"the flow beside it is an evaluation flow: node '{node.name}' aggregates"
            yield Problem(message, document.location, "deploy the flow that it evaluates")


@rule("FP528", "concurrency", Severity.WARNING, "The number of concurrent requests per instance is not set.")
def concurrency(subject: Subject) -> Iterator[Problem]:
    for document in _deployments(subject):
        value = document.get("request_settings", "max_concurrent_requests_per_instance")
        if value is None and (document.serves_a_flow or subject.flow):
            where = document.get("request_settings")
            yield Problem(
                "Microsoft's documents disagree on the default of max_concurrent_requests_per_instance: 1 or 10",
                where.location if where else document.location,
                "set it to workers × threads for requests longer than 200 ms",
            )


@rule(
    "FP529",
    "response-fields",
    Severity.ERROR,
    "PROMPTFLOW_RESPONSE_INCLUDED_FIELDS is not a list of the flow's outputs.",
)
def response_fields(subject: Subject) -> Iterator[Problem]:
    for document in _deployments(subject):
        value = document.variables.get("PROMPTFLOW_RESPONSE_INCLUDED_FIELDS")
        text = text_of(value)
        if value is None or not text:
            continue
        try:
            fields = parse_json(text, document.path)
        except FlowpackError:
            fields = None
        if not isinstance(fields, list):
            yield Problem(
                f"'{text}' is not a JSON list", value.location, """write '["answer"]', with quotes around it"""
            )
            continue
        outputs = subject.flow.outputs if subject.flow else {}
        unknown = [each for each in fields if outputs and str(each) not in outputs]
        if unknown:
            yield Problem(f"the flow has no output '{unknown[0]}'", value.location, f"it has: {', '.join(outputs)}")


@rule("FP530", "build-context", Severity.ERROR, "The folder that an environment is built from is missing or too large.")
def build_context(subject: Subject) -> Iterator[Problem]:
    for document in _deployments(subject):
        value = document.build_context
        folder = document.local_path(value)
        if value is not None and document.leads_out(value):
            hint = "put the folder into the project, or allow it with --include-root"
            yield Problem(f"'{value.data}' leads out of the project, so it is not checked", value.location, hint)
        if value is None or folder is None:
            continue
        if not is_folder(folder):
            hint = "write the path relative to the document"
            yield Problem(f"there is no folder '{value.data}'", value.location, hint)
            continue
        try:
            sizes = [file.size for _, file in FolderWalk(folder.resolve(), subject.roots).files()]
        except InputError as error:
            yield Problem(error.message, error.location or value.location, error.hint)
            continue
        if len(sizes) > _MOST_FILES_TO_BUILD or sum(sizes) > _MOST_BYTES_TO_BUILD:
            message = (
                f"the folder has {len(sizes)} files and {sum(sizes) / 1024**2:.1f} MB; "
                "at most 100 files and 1 MB are allowed"
            )
            yield Problem(message, value.location, "build the image with flowpack and name it in environment.image")


@rule(
    "FP531", "telemetry-twice", Severity.WARNING, "Telemetry goes to another Application Insights than the one named."
)
def telemetry_twice(subject: Subject) -> Iterator[Problem]:
    for document in _deployments(subject):
        named = document.variables.get("APPLICATIONINSIGHTS_CONNECTION_STRING")
        enabled = document.get("app_insights_enabled")
        if not (document.serves_a_flow or subject.flow) or named is None or enabled is None:
            continue
        if enabled.data is True:
            message = "app_insights_enabled sends telemetry to the workspace's Application Insights, not to this one"
            yield Problem(message, named.location, "remove one of the two")


@rule(
    "FP532",
    "override-of-nothing",
    Severity.ERROR,
    "A variable overrides a connection that the flow does not have.",
    about_secrets=True,
)
def override_of_nothing(subject: Subject) -> Iterator[Problem]:
    """Reports what is certain: a name that differs in case, and a reference to a connection that the flow lacks."""
    connections = [each.override for each in subject.connections]
    known = {each.casefold(): each for each in (*connections, *_field_variables(subject))}
    for name, value in _other_variables(subject):
        right = known.get(name.casefold())
        if right and not _is_mentioned(name, subject):
            message = f"nothing reads '{name}': the connection's variable is '{right}'; case matters"
            yield Problem(message, value.location, f"rename it to {right}")
        elif _WHOLE_CONNECTION.fullmatch(text_of(value) or "") and subject.flow:
            near = nearest(name, connections)
            hint = (
                f"did you mean '{near}'?"
                if near
                else f"use one of: {listed(connections)}"
                if connections
                else "remove it"
            )
            yield Problem(f"the flow has no connection '{name}' that this could replace", value.location, hint)


@rule(
    "FP533",
    "override-misspelt",
    Severity.WARNING,
    "A variable is spelt almost like one that sets a field of a connection.",
    about_secrets=True,
)
def override_misspelt(subject: Subject) -> Iterator[Problem]:
    known = [*(each.override for each in subject.connections), *_field_variables(subject)]
    exact = {each.casefold() for each in known}
    for name, value in _other_variables(subject):
        near = None if name.casefold() in exact else nearest(name, known, likeness=_MISSPELT)
        if near and not _is_mentioned(name, subject):
            yield Problem(f"nothing in the flow reads '{name}'", value.location, f"did you mean '{near}'?")


def _other_variables(subject: Subject) -> Iterator[tuple[str, Value]]:
    """The deployments' variables that set no connection and no field of one."""
    known = {*(each.override for each in subject.connections), *_field_variables(subject)}
    own = subject.flow.environment_variables if subject.flow else {}
    for document in _deployments(subject) if known or subject.flow else ():
        for name, value in document.variables.items():
            if shell_name(name) not in known and name not in own:
                yield name, value


def _field_variables(subject: Subject) -> list[str]:
    return [variable for each in subject.connections for variable in each.field_variables]


def _is_mentioned(name: str, subject: Subject) -> bool:
    """Whether a source of the flow contains the name: its code may read a variable of its own."""
    paths = [path for target, path in subject.paths.items() if target.endswith((".py", ".prompty"))]
    return any(name in read_text(path, limit=DOCUMENT_BYTES, within=subject.roots.folders) for path in paths)
