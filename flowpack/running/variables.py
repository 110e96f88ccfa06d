"""Which of this machine's variables a served flow sees: what serving reads and what the flow names, no more.

A flow is often a stranger's, and chooses its own names: one with a connection ``github`` that has a key ``token`` asks
for this machine's ``GITHUB_TOKEN``. So only whole names count, never what begins with a connection's name; the
credentials by which this machine itself is known are kept back until somebody names them; and CI, where nobody looks,
passes nothing that was not named.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowpack.documents.json_documents import parse_json
from flowpack.documents.yaml_documents import read_document
from flowpack.errors import FlowpackError, InputError, Location
from flowpack.flows.connection_types import CONNECTION_TYPES, CUSTOM
from flowpack.flows.connections import shell_name
from flowpack.flows.reader import read_flow
from flowpack.flows.variables import INIT_CONFIG, unfilled_init
from flowpack.images.build_record import BuildRecord
from flowpack.reading import DOCUMENT_BYTES, read_text

_PREFIXES = ("PROMPTFLOW_", "PF_", "OTEL_", "APPLICATIONINSIGHTS_", "APPINSIGHTS_")
_NAMES = {"GUNICORN_CMD_ARGS", "FLOWPACK_TIMEOUT", "FLOWPACK_PRELOAD", "FLOWPACK_FULL_SDK"}
_NAMES |= {"FLOWPACK_HEADER_TIMEOUT", "FLOWPACK_BODY_TIMEOUT", "FLOWPACK_MAX_BODY_MB", "FLOWPACK_IMAGE_TIMEOUT"}
# Places on this machine, which say nothing about where the flow is served.
_LOCAL = {"PROMPTFLOW_PROJECT_PATH", "PF_PROJECT_PATH", "PF_HOME_DIRECTORY"}
_HEADERS = "_HEADERS"
"""How OpenTelemetry's variables with the credentials of a collector end."""

_OF_THE_MACHINE = tuple(
    """
    ACTIONS_ AGENT_ ANSIBLE_ ARM_ AWS_ AZDO_ AZURE_ BITBUCKET_ BUILDKITE_ CIRCLE CI_ CLOUDFLARE_ CLOUDSDK_
    CODECOV_ COSIGN_ DATABRICKS_ DIGITALOCEAN_ DOCKER_ ENDPOINT_ GCLOUD_ GCP_ GH_ GITEA_ GITHUB_ GITLAB_ GIT_
    GOOGLE_ GPG_ HEROKU_ IDENTITY_ JENKINS_ JFROG_ KUBE MSI_ NETLIFY_ NETRC NODE_AUTH_ NPM_ NUGET_ OCI_ PIP_
    POETRY_ PYPI_ RUNNER_ SENTRY_ SNYK_ SONAR_ SSH_ SYSTEM_ TF_ TRAVIS_ TWINE_ UV_ VAULT_ VERCEL_
    """.split()  # noqa: SIM905  (a list a name a line is a page)
)
_OF_A_MODEL = ("AZURE_OPENAI_",)
"""What openai's own client reads: a flow's, though it begins like the machine's."""


@dataclass(frozen=True, slots=True)
class ServerVariables:
    """``values`` is what the server gets; ``asked`` names those of them that the flow chose; ``kept_back`` is what the
    flow names, this machine has, and the flow does not get."""

    values: Mapping[str, str]
    asked: tuple[str, ...] = ()
    kept_back: tuple[str, ...] = ()


def server_variables(
    build: Path | None = None, *, explicit: Mapping[str, str] | None = None, environ: Mapping[str, str] = os.environ
) -> ServerVariables:
    """For a build: also the variables of its settings, of its connections, and of the flow's own environment.

    ``explicit`` wins over all, and may have any name.
    """
    given = explicit or {}
    serving = {name for name in environ if name.startswith(_PREFIXES) or name in _NAMES} - _LOCAL
    serving = {name for name in serving if not name.endswith(_HEADERS)}
    named = (_named_by(build) & environ.keys()) - serving if build is not None else set()
    kept_back = {name for name in named if _is_of_the_machine(name)}
    passed = serving | (named - kept_back)
    return ServerVariables(
        {**{name: environ[name] for name in sorted(passed)}, **given},
        asked=tuple(sorted(named - kept_back - given.keys())),
        kept_back=tuple(sorted(kept_back - given.keys())),
    )


_STORES = (
    "PROMPTFLOW_CONNECTION_PROVIDER",
    "PF_CONNECTION_PROVIDER",
    "PRT_CONFIG_OVERRIDE",
    "AML_DEPLOYMENT_RESOURCE_ID",
    "PF_HTTP_CONNECTION_PROVIDER_ENDPOINT",
)
"""Variables that name where connections come from, other than variables."""

_LOOPBACK = re.compile(r"[a-z][a-z0-9+.-]*://(?:[^/@\s]*@)?(localhost|127(?:\.\d{1,3}){3}|\[::1\])(?=[:/?#]|$)", re.I)


def missing_variables(build: Path, record: BuildRecord, values: Mapping[str, str]) -> tuple[str, ...]:
    """Those that the build's server needs and is not given, each with the connection that it is for.

    A connection needs none where a variable gives it whole or a store has it; one that signs in with Entra ID needs no
    key. The server itself knows more: it also reads what the variables hold.
    """
    owners = {variable: name for name, variables in record.connections.items() for variable in variables}
    from_store = any(values.get(name, "local") not in {"", "local"} for name in _STORES)
    missing = []
    unfilled = _unfilled_init(build, values.get(INIT_CONFIG, ""))
    if unfilled:
        missing.append(f"{INIT_CONFIG} (JSON with {', '.join(map(repr, unfilled))}, which the flow's class needs)")
    given = {shell_name(name): value for name, value in values.items()}
    for variable in sorted(_settings(build) - given.keys() - {INIT_CONFIG}):
        connection = owners.get(variable)
        if connection is None:
            if not values.get(INIT_CONFIG):  # which may state the model that these are for
                missing.append(variable)
            continue
        override = shell_name(connection)
        keyless = given.get(f"{override}_AUTH_MODE".upper()) == "meid_token" and variable.endswith("_API_KEY")
        if not (from_store or given.get(override) or keyless):
            missing.append(f"{variable} (connection '{connection}')")
    return tuple(missing)


def _unfilled_init(build: Path, text: str) -> tuple[str, ...]:
    """What a flex flow's class needs and does not get. The server reports a variable that holds no JSON object."""
    try:
        given = json.loads(text or "{}")
        flow = read_flow(build / "flow", within=(build.resolve(),))
    except (ValueError, RecursionError, FlowpackError):
        return ()
    return unfilled_init(flow, given) if isinstance(given, dict) else ()


def loopback_variables(values: Mapping[str, str]) -> dict[str, str]:
    """Variables whose URL names the loopback address, with that address: in a container it is the container's own."""
    found = {name: _LOOPBACK.match(value.strip()) for name, value in values.items()}
    return {name: match[1] for name, match in sorted(found.items()) if match}


def _is_of_the_machine(name: str) -> bool:
    upper = name.upper()
    machine = upper in {"PATH", "HOME"} or upper.endswith(_HEADERS) or upper.startswith(_OF_THE_MACHINE)
    return machine and not upper.startswith(_OF_A_MODEL)


def _named_by(build: Path) -> set[str]:
    return {*_settings(build), *_of_connections(build), *_flow_variables(build)}


def _settings(build: Path) -> set[str]:
    path = build / "settings.json"
    if not path.is_file():
        return set()
    try:
        return set(parse_json(read_text(path, limit=DOCUMENT_BYTES, within=[build.resolve()]), path))
    except TypeError as error:
        raise InputError("settings.json cannot be read", location=Location(path), detail=str(error)) from error


def _of_connections(build: Path) -> Iterator[str]:
    """A connection as a whole, and each field that its type has, or a custom one's document."""
    types = {each.document_type: each for each in CONNECTION_TYPES.values()}
    for path in sorted((build / "connections").glob("*.yaml")):
        document = read_document(path, within=[build.resolve()]).root.mapping()
        if "name" not in document:
            continue
        name = document["name"].string()
        yield from {name.replace(" ", "_"), shell_name(name)}
        kind = types.get(document["type"].string() if "type" in document else "", CUSTOM)
        fields = (*kind.secrets, *kind.needed, *kind.optional)
        for key in (*fields, *_custom_keys(document)):
            yield from {f"{name.replace(' ', '_')}_{key}".upper(), shell_name(f"{name}_{key}").upper()}


def _custom_keys(document: Mapping[str, Any]) -> Iterator[str]:
    for part in ("configs", "secrets"):
        if part in document:
            yield from document[part].mapping()


def _flow_variables(build: Path) -> set[str]:
    """In promptflow a variable that is set overrides the default in the flow file."""
    try:
        return set(read_flow(build / "flow", within=(build.resolve(),)).environment_variables)
    except FlowpackError:  # the server itself will explain
        return set()
