from __future__ import annotations

import pytest

from flowpack.azureml.clouds import current_cloud
from flowpack.errors import AzureError


def test_the_public_cloud_is_the_default() -> None:
    assert current_cloud({}).scope == "https://management.azure.com/.default"


def test_the_government_s_cloud_has_a_login_of_its_own() -> None:
    cloud = current_cloud({"AZUREML_CURRENT_CLOUD": "AzureUSGovernment"})
    assert (cloud.resource_manager, cloud.login) == (
        "https://management.usgovcloudapi.net",
        "login.microsoftonline.us",
    )


def test_an_unknown_cloud_is_refused_with_what_was_meant() -> None:
    with pytest.raises(AzureError) as caught:
        current_cloud({"AZUREML_CURRENT_CLOUD": "AzureUSGoverment"})
    assert caught.value.hint == "did you mean 'AzureUSGovernment'?"
