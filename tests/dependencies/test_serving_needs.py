from __future__ import annotations

from typing import Any

import pytest

from flowpack.dependencies.serving_needs import DEFAULT_RELEASE, ServingNeeds, serving_requirements
from flowpack.dependencies.target import Target
from flowpack.errors import RequirementsError
from flowpack.pipeline import lock
from flowpack.pipeline.assemble import assemble_flow
from flowpack.pipeline.builds import BuildRequest
from tests.dependencies.conftest import Read
from tests.paths import FLOWS


def added(read: Read, text: str | None, needs: ServingNeeds | None = None, **files: str) -> list[str]:
    return [each.text for each in serving_requirements(needs or ServingNeeds(), read(text, **files))]


def test_a_flow_without_requirements_gets_all_that_serving_needs(read: Read) -> None:
    assert added(read, None) == [f"promptflow-core=={DEFAULT_RELEASE}", "httpx", "flask-cors", "gunicorn", "uvicorn"]


def test_tools_come_where_a_node_needs_them(read: Read) -> None:
    assert "promptflow-tools" in added(read, None, ServingNeeds(tools=True))
    assert "promptflow-tools" not in added(read, "promptflow-tools==1.4\n", ServingNeeds(tools=True))


def test_azure_identity_comes_where_a_model_signs_in(read: Read) -> None:
    assert "azure-identity" in added(read, None, ServingNeeds(identity=True))
    assert "azure-identity" not in added(read, "azure-identity==1.19.0\n", ServingNeeds(identity=True))
    assert "azure-identity" not in added(read, None)


def test_installers_that_a_source_imports_come_along(read: Read) -> None:
    needs = ServingNeeds(installers=("pip", "setuptools"))
    assert {"pip", "setuptools<82"} <= {*added(read, None, needs)}
    named = added(read, "pip==25.0\nsetuptools\n", needs)
    assert "pip" not in named
    assert "setuptools<82" in named, "the newest has no pkg_resources, whoever names it"


def test_connections_of_a_workspace_need_the_extra_whatever_the_user_names(read: Read) -> None:
    needs = ServingNeeds(azureml=True)
    assert added(read, "promptflow-core==1.17.2", needs)[0] == "promptflow-core[azureml-serving]==1.17.2"


@pytest.mark.parametrize(
    ("text", "core"),
    [
        ("promptflow==1.17.2", ["promptflow-core==1.17.2"]),
        ("promptflow[azure]==1.17.2\nhttpx", ["promptflow-core==1.17.2"]),
        ("promptflow-core", []),
        ("promptflow>=1.10", ["promptflow-core"]),
        ("promptflow-tracing==1.16.0", ["promptflow-core==1.16.0"]),
        ("flask", [f"promptflow-core=={DEFAULT_RELEASE}"]),
        # On the target one of them may not hold: the package is named without a version of ours.
        (
            "promptflow==1.17.2 ; python_version < '3.10'\npromptflow==1.18.5 ; python_version >= '3.10'",
            ["promptflow-core"],
        ),
        ("promptflow-core==1.18.5 ; python_version < '3.10'", ["promptflow-core"]),
    ],
)
def test_the_core_is_the_users_release(read: Read, text: str, core: list[str]) -> None:
    assert [each for each in added(read, text) if each.startswith("promptflow-core")] == core


def test_a_constraint_names_the_release_and_installs_nothing(read: Read) -> None:
    found = added(read, "-c pins.txt\n", pins="promptflow-core==1.17.2\ngunicorn<23\n")
    assert found == ["promptflow-core==1.17.2", "httpx", "flask-cors", "gunicorn", "uvicorn"]


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        ("prompty-without-key", ServingNeeds(identity=True)),
        ("imports-installers", ServingNeeds(installers=("pip", "setuptools"))),
        ("python-only", ServingNeeds()),
    ],
)
def test_a_lock_has_what_the_flow_needs(flow: str, expected: ServingNeeds, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ServingNeeds] = []

    def lock_dependencies(*_: Any, needs: ServingNeeds, **__: Any) -> Any:
        asked.append(needs)
        raise RequirementsError("enough")

    monkeypatch.setattr(lock, "lock_dependencies", lock_dependencies)
    request = BuildRequest(source=FLOWS / flow, target=Target.parse("3.11", "linux/amd64"))
    with pytest.raises(RequirementsError, match="enough"):
        lock.lock_flow(assemble_flow(request), request)
    assert asked == [expected]
