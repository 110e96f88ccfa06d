"""Asks Azure Resource Manager of a workspace, without azure-ai-ml: importing that takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flowpack.azureml.clouds import Cloud, current_cloud
from flowpack.azureml.service_errors import translated
from flowpack.azureml.workspace import Workspace

if TYPE_CHECKING:
    from flowpack.azureml.arm_client import ArmClient

_API_VERSION = "2024-04-01"


class ResourceManager:
    """Answers are JSON as it comes; faults are AzureErrors in the service's own words."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    @cached_property
    def _cloud(self) -> Cloud:
        return current_cloud()

    @cached_property
    def credential(self) -> Any:
        return _azure().default_credential(self._cloud.login)

    @cached_property
    def _client(self) -> ArmClient:
        client: ArmClient = _azure().ArmClient(self._cloud.resource_manager, self.credential, self._cloud.scope)
        return client

    def get(self, *parts: str) -> Any | None:
        """The resource at these parts of a path under the workspace; None where there is none."""
        return self._answer("GET", self._url(self._path(*parts)), may_be_missing=bool(parts))

    def get_at(self, path: str, api_version: str = _API_VERSION) -> Any | None:
        """The resource with this identifier, anywhere; None where there is none."""
        return self._answer("GET", self._url(quote(f"/{path.lstrip('/')}"), api_version), may_be_missing=True)

    def post(self, *parts: str, body: Any = None) -> Any:
        """Of what only tells, such as keys and logs: it is asked again like a GET."""
        return self._answer("POST", self._url(self._path(*parts)), body=body)

    def listed(self, *parts: str) -> Iterator[Any]:
        """Each of a list, through all its pages, archived ones too; none where what it belongs to is not there."""
        yield from self._listed(self._url(self._path(*parts)) + "&listViewType=All")

    def listed_at(self, path: str, api_version: str = _API_VERSION, **query: str) -> Iterator[Any]:
        """Each of a list anywhere in Azure; none where there is nothing at the path."""
        more = "".join(f"&{name}={quote(value)}" for name, value in query.items())
        yield from self._listed(self._url(quote(path), api_version) + more)

    def _listed(self, url: str | None) -> Iterator[Any]:
        while url:
            page = self._answer("GET", url, may_be_missing=True)
            if page is None:
                self.get()  # a workspace that is not there is an error, not an empty list
                return
            yield from page["value"]
            url = page.get("nextLink")

    def _url(self, path: str, api_version: str = _API_VERSION) -> str:
        return f"{self._cloud.resource_manager}{path}?api-version={api_version}"

    def _path(self, *parts: str) -> str:
        return quote(self.workspace.path) + "".join(f"/{quote(part, safe='')}" for part in parts)

    def _answer(self, method: str, url: str, *, may_be_missing: bool = False, body: Any = None) -> Any | None:
        try:
            return self._client.answer(method, url, may_be_missing=may_be_missing, body=body)
        except _azure().FAULTS as error:
            raise translated(error, self.workspace) from error


def _azure() -> ModuleType:
    from flowpack.azureml import arm_client  # noqa: PLC0415  (azure-core and azure-identity)

    return arm_client
