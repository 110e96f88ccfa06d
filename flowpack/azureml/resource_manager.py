"""Asks Azure Resource Manager of a workspace, without azure-ai-ml: importing that takes seconds."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cached_property
from typing import Any
from urllib.parse import quote

from flowpack import __version__
from flowpack.azureml.clouds import RETRIES, Cloud, current_cloud
from flowpack.azureml.service_errors import translated
from flowpack.azureml.workspace import Workspace

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
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415  (no local registry needs it)

        # Each credential that is not there would be a warning; the error that follows names them all.
        logging.getLogger("azure").addHandler(logging.NullHandler())
        options = {"authority": self._cloud.login} if self._cloud.login else {}
        return DefaultAzureCredential(**options)

    @cached_property
    def _client(self) -> Any:
        from azure.core import PipelineClient  # noqa: PLC0415
        from azure.core.pipeline.policies import ProxyPolicy, RetryPolicy, UserAgentPolicy  # noqa: PLC0415
        from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy  # noqa: PLC0415

        policies = [
            UserAgentPolicy(f"flowpack/{__version__}"),
            ProxyPolicy(),
            RetryPolicy(**RETRIES),
            ARMChallengeAuthenticationPolicy(self.credential, self._cloud.scope),
        ]
        return PipelineClient[Any, Any](self._cloud.resource_manager, policies=policies)

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
        from azure.core.exceptions import AzureError, HttpResponseError  # noqa: PLC0415
        from azure.core.rest import HttpRequest  # noqa: PLC0415
        from azure.mgmt.core.exceptions import ARMErrorFormat  # noqa: PLC0415

        try:
            response = self._client.send_request(HttpRequest(method, url, json=body), retry_on_methods=[method])
            if response.status_code == 404 and may_be_missing:
                return None
            if response.status_code != 200:
                raise HttpResponseError(response=response, error_format=ARMErrorFormat)
            return response.json()
        except (AzureError, ValueError) as error:
            raise translated(error, self.workspace) from error
