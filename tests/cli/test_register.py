"""``flowpack register`` and ``flowpack models`` on one machine: no Azure, no network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.azureml.models.examples import LOCK_DIGEST, build_folder, flow_folder
from tests.commands import Done, flowpack
from tests.paths import write_tree

DIGEST = "sha256:" + "a" * 64
FOREIGN = ("AZURE_", "AZUREML_", "FLOWPACK_REGISTRY")


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        monkeypatch.delenv(name)
    for name, place in (("HOME", "home"), ("XDG_DATA_HOME", "data"), ("FLOWPACK_CACHE_DIR", "cache")):
        monkeypatch.setenv(name, str(tmp_path / place))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    return flow_folder(tmp_path / "basic-chat")


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return tmp_path / "registry"


def listing(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def register(source: Path, registry: Path, *options: str | Path, expect: int = 0) -> Done:
    return flowpack("register", source, "--registry", f"local:{registry}", *options, expect=expect)


def test_a_flow_becomes_a_version_with_the_studio_s_properties(chat: Path, registry: Path) -> None:
    done = register(chat, registry)
    assert done.stdout == "basic-chat:1\n"
    document = yaml.safe_load((registry / "basic-chat/1/model.yaml").read_text())
    assert document["properties"] == {
        "azureml.promptflow.source_flow_id": "basic-chat",
        "azureml.promptflow.mode": "chat",
        "azureml.promptflow.chat_input": "question",
        "azureml.promptflow.chat_output": "answer",
    }
    assert document["tags"].keys() == {"flowpack.flow.digest", "flowpack.version"}
    assert listing(registry / "basic-chat/1" / document["path"]) == listing(chat)


def test_the_same_content_again_is_unchanged_wherever_it_lies(chat: Path, registry: Path, tmp_path: Path) -> None:
    register(chat, registry)
    shutil.copytree(chat, tmp_path / "elsewhere/basic-chat")
    done = register(tmp_path / "elsewhere/basic-chat", registry, "--json")
    assert (done.json["state"], done.json["version"]) == ("unchanged", "1")
    (chat / "notes/facts.md").write_text("other facts\n")
    assert register(chat, registry).stdout == "basic-chat:2\n"
    assert register(chat, registry, "--tag", "stage=test", "--json").json["state"] == "updated"


def test_the_document_that_was_used_is_written_beside_the_folder_that_it_names(
    chat: Path, registry: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = register(chat, registry, "--output", out, "--name", "model", "--description", "about: it")
    document = yaml.safe_load((out / "model.yaml").read_text())
    assert (document["name"], document["version"], document["description"]) == ("model", "1", "about: it")
    assert f"model.yaml: {out}/model.yaml" in done.stderr
    assert listing(out / document["path"]) == listing(chat)
    (chat / "notes/facts.md").write_text("other facts\n")
    register(chat, registry, "--output", out, "--name", "model")
    after = yaml.safe_load((out / "model.yaml").read_text())
    assert {path.name for path in out.iterdir()} == {"model.yaml", after["path"]}
    assert listing(out / after["path"]) == listing(chat)


def test_a_folder_that_someone_changed_in_the_output_is_written_again(
    chat: Path, registry: Path, tmp_path: Path
) -> None:
    register(chat, registry, "--output", tmp_path / "out")
    [folder] = (tmp_path / "out").glob("flow-*")
    (folder / "flow.dag.yaml").write_text("changed")
    register(chat, registry, "--output", tmp_path / "out")
    assert listing(folder) == listing(chat)


def test_without_a_workspace_the_local_registry_is_taken_and_said_so(chat: Path, tmp_path: Path) -> None:
    done = flowpack("register", chat, "--quiet")
    place = tmp_path / "data/flowpack/registry"
    assert f"warning: no workspace is configured: this is the local registry {place}" in done.stderr
    assert (place / "basic-chat/1/model.yaml").is_file()
    assert flowpack("register", chat, "--registry", "azure", expect=2).stderr.startswith("error: no workspace")


def test_a_dry_run_shows_the_document_and_writes_nothing(chat: Path, registry: Path, tmp_path: Path) -> None:
    before = listing(tmp_path)
    done = register(chat, registry, "--dry-run", "--output", tmp_path / "out")
    shown = yaml.safe_load(done.stdout)
    assert shown["name"] == "basic-chat"
    assert "version" not in shown
    assert listing(tmp_path) == before
    assert register(chat, registry, "--dry-run", "--json").json == shown


def test_what_a_build_wrote_has_the_digests_of_its_lock_and_its_image(
    chat: Path, registry: Path, tmp_path: Path
) -> None:
    out = build_folder(tmp_path / "build", chat)
    image = f"example.azurecr.io/chat@{DIGEST}"
    done = register(out, registry, "--json", "--image", f"example.azurecr.io/chat:1@{DIGEST}")
    assert (done.json["name"], done.json["tags"]["flowpack.lock.digest"]) == ("basic-chat", LOCK_DIGEST)
    assert done.json["tags"]["flowpack.image"] == image
    write_tree(out, {"image.json": json.dumps({"reference": image, "revision": "abc"}), "flow/__pycache__/a.pyc": ""})
    done = register(out, registry, "--json")
    assert (done.json["state"], done.json["tags"]["flowpack.image"]) == ("unchanged", image)
    assert register(chat, registry, "--json").json["state"] == "unchanged"


def test_the_revision_of_the_source_is_a_tag(chat: Path, registry: Path) -> None:
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "flow"]):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *command], cwd=chat, check=True)
    revision = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=chat, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert register(chat, registry, "--json").json["tags"]["flowpack.revision"] == revision


def test_models_lists_versions_with_their_properties_and_digests(chat: Path, registry: Path) -> None:
    register(chat, registry, "--image", f"example.azurecr.io/chat@{DIGEST}")
    (chat / "notes/facts.md").write_text("other facts\n")
    register(chat, registry, "--mode", "none")
    title, newest, first = flowpack("models", "--registry", f"local:{registry}").stdout.splitlines()
    assert title.split() == ["MODEL", "SOURCE", "FLOW", "CHAT", "FLOW", "DIGEST", "LOCK", "DIGEST", "IMAGE"]
    assert newest.split()[:2] == ["basic-chat:2", "basic-chat"]
    assert "→" not in newest
    assert "question → answer" in first
    assert first.endswith(f"example.azurecr.io/chat@{DIGEST}")
    listed = flowpack("models", "basic-chat", "--registry", f"local:{registry}", "--json").json
    assert [each["version"] for each in listed["models"]] == ["2", "1"]
    assert listed["models"][1]["tags"]["flowpack.image"] == f"example.azurecr.io/chat@{DIGEST}"


def test_an_empty_registry_has_no_models(registry: Path) -> None:
    assert flowpack("models", "--registry", f"local:{registry}").stdout == "no models\n"
    assert flowpack("models", "--registry", f"local:{registry}", "--json").json["models"] == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--registry", "elsewhere"), "'elsewhere' is not a valid registry"),
        (("--registry", "azure:x"), "'azure:x' is not a valid registry"),
        (("--registry", "local", "--workspace-name", "w"), "a local registry has no workspace"),
        (("--workspace-name", "w"), "which workspace is meant is not clear"),
        (("--tag", "x"), "--tag 'x' is not NAME=VALUE"),
        (("--image", "registry/chat:1"), "does not name the image by its digest"),
    ],
)
def test_options_that_make_no_sense(chat: Path, options: tuple[str, ...], expected: str) -> None:
    assert expected in flowpack("register", chat, *options, expect=2).stderr
