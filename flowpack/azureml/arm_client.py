"""Requests to Azure Resource Manager with azure-core. Only a command that asks Azure loads it."""

from __future__ import annotations

import json
import logging
from typing import Any

from azure.core import PipelineClient
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline.policies import ProxyPolicy, RetryPolicy, UserAgentPolicy
from azure.core.rest import HttpRequest
from azure.identity import DefaultAzureCredential
from azure.mgmt.core.exceptions import ARMErrorFormat
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

from flowpack import __version__
from flowpack.azureml.limits import RETRIES

FAULTS = (AzureError, ValueError)
"""What ``ArmClient.answer`` and ``get_json`` raise: the service's and the network's, and where no JSON came."""

_NOT_FOUND = 404
_OK = 200


def default_credential(login: str | None) -> Any:
    """``login`` is the host that signs in, where it is another than the public cloud's."""
    # Each credential that is not there would be a warning; the error that follows names them all.
    logging.getLogger("azure").addHandler(logging.NullHandler())
    return DefaultAzureCredential(**({"authority": login} if login else {}))


class ArmClient:
    def __init__(self, resource_manager: str, credential: Any, scope: str) -> None:
        policies = [
            UserAgentPolicy(f"flowpack/{__version__}"),
            ProxyPolicy(),
            RetryPolicy(**RETRIES),
            ARMChallengeAuthenticationPolicy(credential, scope),
        ]
        self._client = PipelineClient[Any, Any](resource_manager, policies=policies)

    def answer(self, method: str, url: str, *, may_be_missing: bool = False, body: Any = None) -> Any | None:
        response = self._client.send_request(HttpRequest(method, url, json=body), retry_on_methods=[method])
        if response.status_code == _NOT_FOUND and may_be_missing:
            return None
        if response.status_code != _OK:
            raise HttpResponseError(response=response, error_format=ARMErrorFormat)
        return response.json()


def get_json(url: str) -> Any:
    with PipelineClient[Any, Any](url, policies=[ProxyPolicy(), RetryPolicy(**RETRIES)]) as client:
        response = client.send_request(HttpRequest("GET", url))
        response.raise_for_status()
        return json.loads(response.text())
