"""Faults of Azure and of credentials: the service's own message, and what a person does about it.

Exceptions are known by what they carry, so that nothing of azure is imported to look at one.
"""

from __future__ import annotations

import re

from flowpack.azureml.workspace import Workspace
from flowpack.errors import AzureError, FlowpackError

_SIGN_IN = (
    "sign in with `az login`; in CI set AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET, "
    "or use the pipeline's own login step"
)
_MISSING_ACTION = re.compile(r"perform action '(?P<action>[^']+)'")
_ENTRA_CODE = re.compile(r"\bAADSTS\d+")
_STORAGE_HOST = re.compile(r"\.(?:blob|dfs)\.")
_ROLE_OF_STORAGE = "Storage Blob Data Contributor"
_ROLE_OF_WORKSPACE = "AzureML Data Scientist"
_NO_SUCH_PLACE = {
    "ResourceNotFound",
    "ResourceGroupNotFound",
    "SubscriptionNotFound",
    "InvalidSubscriptionId",
    "InvalidSubscription",
}


def translated(error: Exception, workspace: Workspace) -> FlowpackError:
    if isinstance(error, FlowpackError):
        return error
    answered = _with_a_status(error)
    if answered is None:
        return _without_an_answer(error, workspace)
    message, hint = _answered(answered, workspace)
    words = dict.fromkeys((words_of(error), words_of(answered)))  # azure-ai-ml's own advice, then the service's words
    refusal = AzureError(message, detail="\n".join(words), hint=hint)
    refusal.status = int(getattr(answered, "status_code", 0))
    return refusal


def _with_a_status(error: BaseException | None) -> Exception | None:
    """The answer of the service behind an error, which azure-ai-ml wraps now and then."""
    while error is not None:
        if isinstance(error, Exception) and getattr(error, "status_code", None) is not None:
            return error
        error = error.__cause__
    return None


def words_of(error: Exception) -> str:
    """The code and the message as the service gave them, without the rest of what an SDK adds."""
    stated = getattr(error, "error", None)
    code, message = getattr(stated, "code", None), getattr(stated, "message", None)
    if message:
        details = [
            str(each.message) for each in getattr(stated, "details", None) or [] if getattr(each, "message", None)
        ]
        return "\n".join([f"{code}: {message}" if code else str(message), *details])
    return str(getattr(error, "message", None) or error).strip()


def code_of(error: Exception) -> str:
    return str(getattr(getattr(error, "error", None), "code", None) or getattr(error, "error_code", None) or "")


def _answered(error: Exception, workspace: Workspace) -> tuple[str, str | None]:
    status = int(getattr(error, "status_code", 0))
    if status == 401:
        return "Azure does not accept the credential, or it has expired", _SIGN_IN
    if status == 403:
        return _forbidden(error, workspace)
    if status == 404 and code_of(error) in _NO_SUCH_PLACE:
        return (
            f"there is no {workspace}",
            "check --subscription, --resource-group and --workspace-name, and that this account can see the workspace",
        )
    if status == 429:
        return "Azure asks for fewer requests, and did so until flowpack gave up", "run it again in a few minutes"
    if status >= 500:
        return "Azure failed, and did so until flowpack gave up", "run it again: what was uploaded is not sent twice"
    return f"{workspace} refuses the request (HTTP {status})", None


def _forbidden(error: Exception, workspace: Workspace) -> tuple[str, str]:
    if _STORAGE_HOST.search(_url_of(error)):
        return (
            f"the storage of {workspace} does not let this account write",
            f"it needs the role {_ROLE_OF_WORKSPACE} on the workspace, which reads the datastore's key; where the "
            f"datastore has none, {_ROLE_OF_STORAGE} on the storage account, and a network that its firewall lets in",
        )
    action = _MISSING_ACTION.search(words_of(error))
    needed = f" (for {action['action']})" if action else ""
    return (
        f"this account may not do this in {workspace}",
        f"it needs the role {_ROLE_OF_WORKSPACE}{needed} on the workspace; a role given just now takes minutes, and a "
        "new `az login`",
    )


def _without_an_answer(error: Exception, workspace: Workspace) -> AzureError:
    kind = type(error).__name__
    if kind in {"CredentialUnavailableError", "ClientAuthenticationError"}:
        words = words_of(error)
        found = _ENTRA_CODE.search(words)
        message = "Microsoft Entra ID refuses the credential" if found else "no credential for Azure was found"
        return AzureError(message, detail=words, hint=_SIGN_IN)
    if kind in {"ServiceRequestError", "ServiceResponseError", "ConnectionError", "IncompleteReadError"}:
        return AzureError(
            "Azure does not answer",
            detail=words_of(error),
            hint="check the network, HTTPS_PROXY, and REQUESTS_CA_BUNDLE where a proxy inspects TLS; then run it again",
        )
    return AzureError(f"{workspace}: {kind}", detail=words_of(error))


def _url_of(error: Exception) -> str:
    response = getattr(error, "response", None)
    return str(getattr(getattr(response, "request", None), "url", "") or "")
