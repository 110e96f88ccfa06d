"""What models, environments, codes and data have in common: containers with versions that are made once."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from azure_emulator.arm import WORKSPACE, Call, Route
from azure_emulator.messages import Answer, service_refusal, user_error
from azure_emulator.roles import ML
from azure_emulator.setup import MANAGEMENT
from azure_emulator.store import Document

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,254}")
# No document has the pattern of a version; this is what a reference such as ``azureml:name:version`` can hold.
VERSION = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_.]{0,254}")

CONTAINER: Document = {"description": None, "tags": {}, "properties": {}, "isArchived": False}


@dataclass(frozen=True)
class AssetKind:
    plural: str
    title: str
    container_model: str
    version_model: str
    defaults: Document
    """A version's properties, with what the service answers where a request leaves one out."""
    content: str
    """The property that says where the content is."""
    fixed: tuple[str, ...]
    """Other properties that stay as they were first."""
    check: Callable[[Call], None]
    """The kind's own rules for a new version."""
    of_container: tuple[str, ...] = ()
    """Properties of the first version that are its container's as well."""

    def routes(self) -> list[Route]:
        containers, versions = f"{WORKSPACE}/{self.plural}", f"{WORKSPACE}/{self.plural}/{{name}}/versions"
        of_container, of_version = f"{ML}/{self.plural}", f"{ML}/{self.plural}/versions"
        return [
            Route("GET", containers, f"{of_container}/read", self.list_containers),
            Route("GET", f"{containers}/{{name}}", f"{of_container}/read", self.get_container),
            Route("PUT", f"{containers}/{{name}}", f"{of_container}/write", self.put_container, self.container_model),
            Route("GET", versions, f"{of_version}/read", self.list_versions),
            Route("GET", f"{versions}/{{version}}", f"{of_version}/read", self.get_version),
            Route("PUT", f"{versions}/{{version}}", f"{of_version}/write", self.put_version, self.version_model),
            Route("DELETE", f"{versions}/{{version}}", f"{of_version}/delete", self.delete_version),
        ]

    def list_containers(self, call: Call) -> Answer:
        found = [_with_latest(call, one) for one in call.store.children(call.identifier) if _in_view(call, one)]
        return page(call, found, "count")

    def get_container(self, call: Call) -> Answer:
        return Answer.of(self._container(call))

    def put_container(self, call: Call) -> Answer:
        _check_pattern(call, "name", NAME)
        with call.store.lock:
            return self._keep_container(call, _given(call, CONTAINER | dict.fromkeys(self.of_container)))

    def list_versions(self, call: Call) -> Answer:
        self._container(call)
        found = [one for one in call.store.children(call.identifier) if _in_view(call, one) and _has_labels(call, one)]
        wanted = call.request.query.get("version")
        found = [one for one in found if wanted in (None, one["name"])]
        return page(call, _ordered(found, call.request.query.get("$orderBy", "createdtime desc")), "$top")

    def get_version(self, call: Call) -> Answer:
        version = call.store.get(call.identifier)
        if version is None:
            raise self._not_found(f"{self.title} {call.names['name']} with version {call.names['version']} not found.")
        return Answer.of(version)

    def put_version(self, call: Call) -> Answer:
        with call.store.lock:
            before = call.store.get(call.identifier)
            given = _given(call, self.defaults)
            if before is None:
                _check_pattern(call, "name", NAME)
                _check_pattern(call, "version", VERSION)
                self._check_not_deleted(call)
                self.check(call)
                self._keep_container(call, {}, made=call.names["version"])
            else:
                self._check_unchanged(before["properties"], self.defaults | given)
                # A pair is added to the properties, never taken away.
                given["properties"] = before["properties"]["properties"] | given.get("properties", {})
            document = {
                "id": call.identifier,
                "name": call.names["version"],
                "type": f"{ML}/{self.plural}/versions",
                "properties": {**self.defaults, **given, "provisioningState": "Succeeded"},
                "systemData": call.stamp(before),
            }
            call.store.put(document)
        if before:
            return Answer.of(document)
        return Answer.of(document, 201, {"Location": f"https://{MANAGEMENT}{call.request.target}"})

    def delete_version(self, call: Call) -> Answer:
        with call.store.lock:
            version = call.store.get(call.identifier)
            if version is None:
                return Answer(204)
            call.store.delete(call.identifier)
            call.store.put({**version, "id": _deleted(call), "systemData": call.stamp(version)})
        return Answer(200)

    def _keep_container(self, call: Call, given: Document, *, made: str = "") -> Answer:
        """Makes or updates the container; ``made`` is a version that is there from now on."""
        identifier = f"{call.setup.workspace_id}/{self.plural}/{call.names['name']}"
        before = call.store.get(identifier)
        properties = before["properties"] if before else {**CONTAINER, "nextVersion": "1"}
        if made:
            asked = self.defaults | call.body["properties"]
            first = {} if before else {name: asked[name] for name in self.of_container}
            given = {"nextVersion": _next(properties["nextVersion"], made), **first}
        document = {
            "id": identifier,
            "name": call.names["name"],
            "type": f"{ML}/{self.plural}",
            "properties": {**properties, **given, "provisioningState": "Succeeded"},
            "systemData": call.stamp(before),
        }
        call.store.put(document)
        return Answer.of(_with_latest(call, document), 200 if before else 201)

    def _container(self, call: Call) -> Document:
        name = call.names["name"]
        container = call.store.get(f"{call.setup.workspace_id}/{self.plural}/{name}")
        if container is None:
            raise self._not_found(f"{self.title} container with name: {name} not found.")
        return _with_latest(call, container)

    def _not_found(self, text: str) -> Exception:
        return user_error("The specified resource was not found.", (f"{self.title}NotFound", text), status=404)

    def _check_not_deleted(self, call: Call) -> None:
        deleted = call.store.get(_deleted(call))
        if deleted:
            asset = (
                f"azureml://locations/{call.setup.location}/workspaces/{call.setup.workspace_guid}/{self.plural}/"
                f"{call.names['name']}/versions/{call.names['version']}"
            )
            at = datetime.fromisoformat(deleted["systemData"]["lastModifiedAt"])
            raise user_error(
                f"Asset {asset} was deleted at {at:%m/%d/%Y %H:%M:%S} +00:00, it cannot be recreated. Please try again "
                "with a different version."
            )

    def _check_unchanged(self, before: Document, wanted: Document) -> None:
        if before[self.content] != wanted[self.content]:
            raise user_error("Asset paths cannot be updated.")
        for name in self.fixed:
            if before[name] != wanted[name]:
                raise user_error(f"The property {name} of an asset cannot be updated.")
        for name, value in wanted["properties"].items():
            if before["properties"].get(name, value) != value:
                raise user_error(f"The value of property {name} cannot be changed: properties are immutable.")


def _with_latest(call: Call, container: Document) -> Document:
    versions = call.store.children(f"{container['id']}/versions")
    return container | {
        "properties": {**container["properties"], "latestVersion": versions[-1]["name"] if versions else None}
    }


def _given(call: Call, members: Document) -> Document:
    """What the request sets of these; the rest of its properties are the server's to write."""
    properties = call.body["properties"]
    return {name: properties[name] for name in members if properties.get(name) is not None}


def _deleted(call: Call) -> str:
    """Where a deleted version is remembered."""
    return call.identifier.replace("/versions/", "/deletedVersions/")


def _check_pattern(call: Call, what: str, pattern: re.Pattern[str]) -> None:
    if not pattern.fullmatch(call.names[what]):
        problem = f"The {what} '{call.names[what]}' does not match the pattern ^{pattern.pattern}$."
        raise service_refusal(400, "BadRequest", "The request is invalid.", ("ValidationError", problem))


def _next(known: str, made: str) -> str:
    """The number after all that were ever given, so that a deleted version's is not given again."""
    return str(max(int(known), int(made) + 1)) if made.isdecimal() else known


def _in_view(call: Call, document: Document) -> bool:
    view = call.request.query.get("listViewType", "ActiveOnly")
    return view == "All" or bool(document["properties"]["isArchived"]) == (view == "ArchivedOnly")


def _has_labels(call: Call, document: Document) -> bool:
    """``tags`` and ``properties`` of the query: names, or names with values, parted by commas; all have to be there."""
    for what in ("tags", "properties"):
        have: dict[str, str] = document["properties"][what]
        for one in filter(None, call.request.query.get(what, "").split(",")):
            name, equals, value = one.partition("=")
            if name not in have or (equals and have[name] != value):
                return False
    return True


def _ordered(documents: list[Document], order: str) -> list[Document]:
    field, _, direction = order.lower().partition(" ")
    keys: dict[str, Callable[[Document], Any]] = {
        "createdtime": lambda one: one["systemData"]["createdAt"],
        "modifiedtime": lambda one: one["systemData"]["lastModifiedAt"],
    }
    if field not in keys:
        raise service_refusal(400, "BadRequest", "The request is invalid.", ("ValidationError", f"No order: {order}."))
    return sorted(documents, key=keys[field], reverse=direction == "desc")


def page(call: Call, documents: list[Document], limit: str) -> Answer:
    """A page of what there is up to the ``limit`` of the query, and the way to the next."""
    query = call.request.query
    start = int(query.get("$skip") or 0)
    wanted = documents[start:][: int(query[limit]) if limit in query else None]
    shown = wanted[: call.setup.page_size]
    answer: Document = {"value": shown}
    if len(wanted) > len(shown):
        rest = {limit: int(query[limit]) - len(shown)} if limit in query else {}
        following = urlencode({**query, **rest, "$skip": start + len(shown)}, safe="$")
        answer["nextLink"] = f"https://{MANAGEMENT}{call.request.path}?{following}"
    return Answer.of(answer)
