"""Where Azure Resource Manager is, by azure-ai-ml's variables: AZUREML_CURRENT_CLOUD and ARM_CLOUD_METADATA_URL."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from flowpack.errors import AzureError, nearest


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
    from flowpack.azureml.arm_client import FAULTS, get_json  # noqa: PLC0415  (azure-core; few clouds need it)

    try:
        clouds = get_json(url)
        return {each["name"]: each["resourceManager"] for each in ([clouds] if isinstance(clouds, dict) else clouds)}
    except (*FAULTS, KeyError, TypeError) as error:
        raise AzureError(f"the clouds' document {url} cannot be read", detail=str(error)) from error
