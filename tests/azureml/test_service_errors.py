"""What a person is told: the real faults are in tests/integration/test_register.py, these are the rarer ones."""

from __future__ import annotations

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ServiceRequestError

from flowpack.azureml.service_errors import translated
from flowpack.azureml.workspace import Workspace
from flowpack.errors import AzureError, FlowpackError, InputError

WORKSPACE = Workspace("s", "g", "library", "from options")


def answered(status: int, message: str = "the service's own words") -> HttpResponseError:
    error = HttpResponseError(message)
    error.status_code = status
    return error


def told(error: Exception) -> FlowpackError:
    found = translated(error, WORKSPACE)
    assert isinstance(found, AzureError)
    return found


@pytest.mark.parametrize(
    ("status", "message", "hint"),
    [
        (401, "does not accept the credential", "az login"),
        (403, "may not do this in workspace 'library'", "AzureML Data Scientist"),
        (429, "asks for fewer requests", "in a few minutes"),
        (503, "Azure failed", "not sent twice"),
    ],
)
def test_each_status_says_what_to_do(status: int, message: str, hint: str) -> None:
    error = told(answered(status))
    assert message in error.message
    assert error.hint and hint in error.hint
    assert error.detail == "the service's own words"


def test_an_answer_that_azure_ai_ml_has_wrapped_is_looked_at_with_both_their_words() -> None:
    wrapped = ValueError("advice of azure-ai-ml")
    wrapped.__cause__ = answered(429)
    error = told(wrapped)
    assert "asks for fewer requests" in error.message
    assert error.detail == "advice of azure-ai-ml\nthe service's own words"


def test_credentials_and_networks() -> None:
    assert told(ClientAuthenticationError("none worked")).message == "no credential for Azure was found"
    assert told(ClientAuthenticationError("AADSTS700082: expired")).message.startswith("Microsoft Entra ID refuses")
    network = told(ServiceRequestError("Name or service not known"))
    assert network.hint and "HTTPS_PROXY" in network.hint


def test_what_is_flowpack_s_own_stays_as_it_is() -> None:
    own = InputError("own")
    assert translated(own, WORKSPACE) is own
