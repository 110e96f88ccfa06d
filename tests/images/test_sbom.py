"""The bill of materials: valid by the format's own schema, complete by the lock, the same bytes for the same inputs."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from flowpack.dependencies.lock_format import LockInputs, Pin, render_lock
from flowpack.dependencies.target import Target
from flowpack.images.cyclonedx_document import render_document
from flowpack.images.sbom import render_sbom
from tests.dependencies.test_lock_format import pins

VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)
FLOW_DIGEST = f"sha256:{'f' * 64}"
SERVING = "flowpack, for serving"


def sha(digit: str) -> str:
    return f"sha256:{digit * 64}"


def lock_of(*pins: Pin) -> str:
    target = Target.parse("3.11", "linux/amd64")
    inputs = LockInputs(target=target, requirements=(), constraints=(), serving=(), options=(), known_good=())
    return render_lock(inputs, pins)


LOCK = lock_of(
    Pin("openai", "1.2", (sha("1"), sha("2")), ("-r requirements.txt", "promptflow-core")),
    Pin("torch", "2.5+cpu", (sha("3"),), ("-r more/requirements.txt",)),
    Pin("mine", None, (sha("4"),), ("-r requirements.txt",), "https://example.org/a%20b/mine-0.3-py3-none-any.whl"),
    Pin("promptflow-core", "1.18.5", (sha("5"), sha("6")), (SERVING,)),
    Pin("gunicorn", "23.0", (sha("7"), sha("8")), ("-r requirements.txt", SERVING)),
    Pin("httpx", "0.28", (sha("9"), sha("a")), ("openai", SERVING)),
)
INPUTS: dict[str, Any] = {
    "flow_name": "my flow",
    "flow_digest": FLOW_DIGEST,
    "lock": LOCK,
    "python": "3.11",
    "platform": "linux/amd64",
    "properties": {"azureml.promptflow.mode": "chat", "azureml.promptflow.chat_input": "größe"},
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sboms"


@pytest.fixture
def document() -> dict[str, Any]:
    text = render_sbom(**INPUTS)
    assert VALIDATOR.validate_str(text) is None
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def components(document: Mapping[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in document["components"]}


def dependencies(document: Mapping[str, Any]) -> dict[str, set[str]]:
    """By names, as a person would draw the graph."""
    named = {each["bom-ref"]: each["name"] for each in [*document["components"], document["metadata"]["component"]]}
    return {
        named[each["ref"]]: {named[ref] for ref in each["dependsOn"]}
        for each in document["dependencies"]
        if each.get("dependsOn")
    }


def test_it_says_which_flow_it_is_of_and_for_which_python_and_platform(document: dict[str, Any]) -> None:
    flow = document["metadata"]["component"]
    assert (flow["type"], flow["name"], flow["version"]) == ("application", "my flow", FLOW_DIGEST)
    told = {each["name"]: each["value"] for each in flow["properties"]}
    assert told["azureml.promptflow.chat_input"] == "größe"
    assert (told["flowpack:python"], told["flowpack:platform"]) == ("3.11", "linux/amd64")
    assert [each["name"] for each in document["metadata"]["tools"]["components"]] == ["flowpack"]


def test_a_package_is_known_by_its_purl(document: dict[str, Any]) -> None:
    purls = {each["purl"] for each in document["components"] if "purl" in each}
    assert {"pkg:pypi/openai@1.2", "pkg:pypi/torch@2.5%2Bcpu"} < purls
    mine = components(document)["mine"]
    assert mine["version"] == "0.3"
    assert mine["purl"].startswith("pkg:pypi/mine@0.3?download_url=https:")


def test_several_archives_are_a_distribution_and_one_is_the_package_itself(document: dict[str, Any]) -> None:
    found = components(document)
    [distribution] = found["openai"]["externalReferences"]
    assert distribution["type"] == "distribution"
    assert [each["content"] for each in distribution["hashes"]] == ["1" * 64, "2" * 64]
    assert "hashes" not in found["openai"]
    assert found["torch"]["hashes"] == [{"alg": "SHA-256", "content": "3" * 64}]
    [distribution] = found["mine"]["externalReferences"]
    assert distribution["url"] == "https://example.org/a%20b/mine-0.3-py3-none-any.whl"


def test_the_graph_tells_why_a_package_is_there(document: dict[str, Any]) -> None:
    assert dependencies(document) == {
        "my flow": {"flowpack_serving", "openai", "torch", "mine", "gunicorn"},
        "flowpack_serving": {"promptflow-core", "gunicorn", "httpx"},
        "promptflow-core": {"openai"},
        "openai": {"httpx"},
    }


def test_a_package_that_nothing_names_is_the_flows() -> None:
    document = json.loads(render_sbom(**{**INPUTS, "lock": lock_of(Pin("a", "1", (sha("1"),)))}))
    assert dependencies(document) == {"my flow": {"flowpack_serving", "a"}}


@settings(max_examples=25, deadline=None)
@given(st.lists(pins(), max_size=4, unique_by=lambda pin: pin.name))
def test_every_lock_gives_a_valid_document_with_all_its_packages(written: list[Pin]) -> None:
    text = render_document(
        flow_name="f", flow_version="1", lock=lock_of(*written), properties={}, serial_number=UUID(int=1)
    )
    assert VALIDATOR.validate_str(text) is None
    packages = {each["name"]: each for each in json.loads(text)["components"] if "purl" in each}
    assert {
        name: {f"sha256:{each['content']}" for each in package["externalReferences"][0]["hashes"]}
        for name, package in packages.items()
    } == {pin.name: set(pin.hashes) for pin in written}


def rendered_elsewhere(folder: Path, seed: str, **changes: Any) -> tuple[str, bool]:
    """The text of another process, and whether that process loaded the library."""
    code = """
        import json, sys
        from flowpack.images.sbom import render_sbom
        text = render_sbom(**json.loads(sys.stdin.read()))
        print(json.dumps([text, "cyclonedx" in sys.modules]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        input=json.dumps({**INPUTS, **changes}),
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": seed, "FLOWPACK_CACHE_DIR": str(folder)},
    )
    text, loaded = json.loads(done.stdout)
    return text, loaded


def test_equal_inputs_give_equal_bytes_and_an_edit_of_the_flow_needs_no_library(tmp_path: Path) -> None:
    first, loaded = rendered_elsewhere(tmp_path / "one", "1")
    assert loaded
    assert rendered_elsewhere(tmp_path / "two", "2") == (first, True)
    assert rendered_elsewhere(tmp_path / "one", "3") == (first, False)
    edited, loaded = rendered_elsewhere(tmp_path / "one", "4", flow_digest=sha("e"))
    assert not loaded
    assert json.loads(edited)["metadata"]["component"]["version"] == sha("e")


@pytest.mark.parametrize(
    "changes",
    [
        {"flow_name": "other"},
        {"flow_digest": sha("e")},
        {"lock": lock_of(Pin("a", "1", (sha("1"),)))},
        {"python": "3.12"},
        {"platform": "linux/arm64"},
        {"properties": {}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_content_has_another_serial_number(document: dict[str, Any], changes: dict[str, Any]) -> None:
    other = json.loads(render_sbom(**{**INPUTS, **changes}))
    assert other["serialNumber"] != document["serialNumber"]
    assert "timestamp" not in document["metadata"]


def test_a_cut_off_file_in_the_cache_is_written_anew(cache: Path) -> None:
    text = render_sbom(**INPUTS)
    [stored] = cache.iterdir()
    whole = stored.read_text(encoding="utf-8")
    stored.write_text(whole[:1000], encoding="utf-8")
    assert render_sbom(**INPUTS) == text
    assert stored.read_text(encoding="utf-8") == whole


def test_without_a_place_for_a_cache_it_is_rendered_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = render_sbom(**INPUTS)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(tmp_path / "file"))
    assert render_sbom(**INPUTS) == text
