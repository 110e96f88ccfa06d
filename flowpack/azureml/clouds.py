"""Where Azure Resource Manager is, by azure-ai-ml's variables: AZUREML_CURRENT_CLOUD and ARM_CLOUD_METADATA_URL."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowpack.errors import AzureError, nearest

RETRIES: dict[str, Any] = {"retry_status": 6, "retry_read": 5, "retry_connect": 4}
"""azure-core waits as long as Retry-After asks, else longer each time; by itself it tries 3 times again."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """``login`` is None where the credential itself knows it: the public cloud, or AZURE_AUTHORITY_HOST."""

    resource_manager: str
    login: str | None = None

    @property
    def scope(self) -> str:
        return f"{self.resource_manager}/.default"


_PUBLIC = "AzureCloud"
_KNOWN = {
    _PUBLIC: Cloud("https://management.azure.com"),
    "AzureChinaCloud": Cloud("https://management.chinacloudapi.cn", "login.chinacloudapi.cn"),
    "AzureUSGovernment": Cloud("https://management.usgovcloudapi.net", "login.microsoftonline.us"),
}


def current_cloud(environ: Mapping[str, str] = os.environ) -> Cloud:
    name, url = environ.get("AZUREML_CURRENT_CLOUD"), environ.get("ARM_CLOUD_METADATA_URL")
    if name in _KNOWN or not (name or url):
        return _KNOWN[name or _PUBLIC]
    described = _described(url) if url else {}
    for cloud, resource_manager in described.items():
        if cloud == name or (name is None and url and resource_manager in url):
            return Cloud(resource_manager.rstrip("/"))
    if name is None:
        return _KNOWN[_PUBLIC]
    near = nearest(name, [*_KNOWN, *described])
    raise AzureError(
        f"the cloud '{name}' of AZUREML_CURRENT_CLOUD is not known",
        hint=f"did you mean '{near}'?" if near else "ARM_CLOUD_METADATA_URL names the document that describes it",
    )


def _described(url: str) -> dict[str, str]:
    from azure.core import PipelineClient  # noqa: PLC0415  (few clouds need it)
    from azure.core.exceptions import AzureError as SdkError  # noqa: PLC0415
    from azure.core.pipeline.policies import ProxyPolicy, RetryPolicy  # noqa: PLC0415
    from azure.core.rest import HttpRequest  # noqa: PLC0415

    try:
        with PipelineClient[Any, Any](url, policies=[ProxyPolicy(), RetryPolicy(**RETRIES)]) as client:
            response = client.send_request(HttpRequest("GET", url))
            response.raise_for_status()
            clouds = json.loads(response.text())
        return {each["name"]: each["resourceManager"] for each in ([clouds] if isinstance(clouds, dict) else clouds)}
    except (SdkError, ValueError, KeyError, TypeError) as error:
        raise AzureError(f"the clouds' document {url} cannot be read", detail=str(error)) from error
