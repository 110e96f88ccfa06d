from __future__ import annotations

import http.server
import json
import threading

import pytest

from flowpack.serving import sources
from flowpack.serving.problems import CannotStartError
from flowpack.serving.sources import HttpStore, Source, Workspace, is_deployment, source_named_by

WORKSPACE = "/subscriptions/sub-1/resourceGroups/group-1/providers/Microsoft.MachineLearningServices/workspaces/prod"
OVERRIDE = (
    "deployment.subscription_id=sub-1,deployment.resource_group=group-1,deployment.workspace_name=prod,"
    "deployment.endpoint_name=chat,deployment.deployment_name=blue"
)
PROD = Workspace("sub-1", "group-1", "prod")


@pytest.fixture(autouse=True)
def azure_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "can_sign_in", lambda: True)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"PRT_CONFIG_OVERRIDE": OVERRIDE}, PROD),
        ({"AML_DEPLOYMENT_RESOURCE_ID": f"{WORKSPACE}/onlineEndpoints/chat/deployments/blue"}, PROD),
        ({"PROMPTFLOW_CONNECTION_PROVIDER": f"azureml:/{WORKSPACE}"}, PROD),
        ({"PF_CONNECTION_PROVIDER": f"azureml:{WORKSPACE.replace('resourceGroups', 'resourcegroups')}"}, PROD),
        ({"PF_CONNECTION_PROVIDER": "azureml://subscriptions/sub-1/resourceGroups/group-1/workspaces/prod"}, PROD),
        ({"PF_CONNECTION_PROVIDER": "local"}, None),
        ({"PROMPTFLOW_CONNECTION_PROVIDER": "local", "PRT_CONFIG_OVERRIDE": OVERRIDE}, None),
        ({"PF_HTTP_CONNECTION_PROVIDER_ENDPOINT": "http://x"}, HttpStore("http://x")),
    ],
)
def test_promptflows_variables_name_it(environ: dict[str, str], expected: Source | None) -> None:
    assert source_named_by(environ) == expected


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        (
            {"PRT_CONFIG_OVERRIDE": "deployment.subscription_id=s,x"},
            "has no deployment.resource_group, ",
        ),
        ({"PF_CONNECTION_PROVIDER": "azureml://workspaces/w"}, "does not have the form that names a workspace"),
        ({"AML_DEPLOYMENT_RESOURCE_ID": "/subscriptions/s"}, "does not have the form that names a workspace"),
    ],
)
def test_a_variable_that_cannot_be_read_is_named(environ: dict[str, str], told: str) -> None:
    with pytest.raises(CannotStartError) as caught:
        source_named_by(environ)
    [problem] = caught.value.problems
    assert problem.name == next(iter(environ))
    assert told in problem.reason


def test_a_workspace_that_a_developer_names_is_no_deployment() -> None:
    assert is_deployment({"PRT_CONFIG_OVERRIDE": OVERRIDE})
    assert not is_deployment({"PF_CONNECTION_PROVIDER": f"azureml:/{WORKSPACE}"})


def test_an_image_that_cannot_sign_in_has_no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "can_sign_in", lambda: False)
    assert source_named_by({"PRT_CONFIG_OVERRIDE": OVERRIDE}) is None


def test_an_http_store() -> None:
    held = {"/connections/a%20b": {"type": "CustomConnection", "value": {"key": "v"}, "secret_keys": ["key"]}}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = 200 if self.path in held else 500 if "broken" in self.path else 404
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(held.get(self.path, {})).encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        answer = HttpStore(f"http://127.0.0.1:{server.server_address[1]}/").ask(["a b", "c", "broken"])
        server.shutdown()
    assert answer.found == {"a b": held["/connections/a%20b"]}
    assert answer.absent == {"c"}
    [problem] = answer.problems
    assert "status 500 for connection 'broken'" in problem.reason
    [problem] = HttpStore("http://127.0.0.1:1").ask(["a"]).problems
    assert "cannot be reached" in problem.reason
