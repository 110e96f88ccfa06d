"""Properties found in the flow, overrides, and the rules that stand before an upload."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowpack import __version__
from flowpack.assembly.flow_folder import assemble
from flowpack.assembly.roots import IncludeRoots
from flowpack.azureml.models.document import ModelDocument
from flowpack.azureml.models.plan import ModelRequest, ModelSource, plan_model
from flowpack.errors import FlowpackError, InputError, UsageError
from flowpack.flows.reader import read_flow
from tests.azureml.models.examples import flow_folder
from tests.paths import FLOWS, write_tree

ID = "azureml.promptflow.source_flow_id"
CHAT = {
    "azureml.promptflow.mode": "chat",
    "azureml.promptflow.chat_input": "question",
    "azureml.promptflow.chat_output": "answer",
}


def planned(source: Path, lock: str | None = None, image: str | None = None, **asked: Any) -> ModelDocument:
    flow = read_flow(source)
    folder = assemble(flow, IncludeRoots.of(flow.folder, (FLOWS.parent,)))
    plan = ModelSource(flow=flow, folder=folder, lock_digest=lock, image=image, revision="abc")
    return plan_model(plan, ModelRequest(**asked)).document


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    return flow_folder(tmp_path / "basic-chat")


def test_a_chat_flow_has_all_four_properties(chat: Path) -> None:
    assert planned(chat).properties == {ID: "basic-chat", **CHAT}


@pytest.mark.parametrize("name", ["python-only", "flex-function", "custom-connection"])
def test_another_flow_has_its_id_alone(name: str) -> None:
    assert planned(FLOWS / name).properties == {ID: name}


def test_overrides(chat: Path) -> None:
    assert planned(chat, source_flow_id="other").properties[ID] == "other"
    assert planned(chat, mode="none").properties == {ID: "basic-chat"}
    assert planned(chat, chat_input="chat_history").properties["azureml.promptflow.chat_input"] == "chat_history"
    stated = planned(FLOWS / "python-only", chat_input="text", chat_output="word_count")
    assert stated.properties["azureml.promptflow.mode"] == "chat"


def test_properties_and_tags_of_a_person_s_own(chat: Path) -> None:
    stated = planned(chat, properties={"owner": "library"}, tags={"stage": "dev"})
    assert stated.properties == {ID: "basic-chat", **CHAT, "owner": "library"}
    assert stated.tags["stage"] == "dev"


def test_tags_lead_from_the_model_to_its_image_and_its_source(chat: Path) -> None:
    stated = planned(chat, lock="sha256:1", image="r/i@sha256:2")
    assert {name: value for name, value in stated.tags.items() if name != "flowpack.flow.digest"} == {
        "flowpack.lock.digest": "sha256:1",
        "flowpack.image": "r/i@sha256:2",
        "flowpack.revision": "abc",
        "flowpack.version": __version__,
    }
    assert planned(chat, image="r/i@sha256:2", **{"tags": {}}).tags["flowpack.image"] == "r/i@sha256:2"


def test_a_name_of_255_characters_is_the_longest(chat: Path) -> None:
    assert planned(chat, name="a" * 255).name == "a" * 255
    for name in ("a" * 256, "", "-a", "a.b", "a b", "é", "_a", "a\n"):
        with pytest.raises(InputError, match="is not a valid name for a model"):
            planned(chat, name=name or "!")


def test_a_name_gets_a_suggestion(chat: Path) -> None:
    with pytest.raises(InputError) as caught:
        planned(chat, name="my flow (v2)")
    assert caught.value.hint == "--name my-flow-v2"


@pytest.mark.parametrize("version", ["0", "1.2.0", "v1", "-1", "01", "latest"])
def test_a_version_is_a_whole_number(chat: Path, version: str) -> None:
    with pytest.raises(InputError, match="is not a valid version"):
        planned(chat, version=version)


def test_1500_files_are_the_most(chat: Path) -> None:
    write_tree(chat, {f"data/{number}.txt": "" for number in range(1498)})
    assert planned(chat)
    write_tree(chat, {"data/one-more.txt": ""})
    with pytest.raises(InputError) as caught:
        planned(chat)
    assert "has 1,501 files, and a model version at most 1,500" in caught.value.message
    assert caught.value.hint and "data/ with 1,499" in caught.value.hint


def test_a_flow_beyond_the_size_is_refused_with_its_largest_files(chat: Path) -> None:
    write_tree(chat, {"weights.bin": b"0" * 1_500_000})
    assert planned(chat, maximum_megabytes=2)
    with pytest.raises(InputError) as caught:
        planned(chat, maximum_megabytes=1)
    assert caught.value.hint and "weights.bin with 2 MB" in caught.value.hint
    assert caught.value.hint.endswith("or --max-size 2")


def refused(source: Path, **asked: Any) -> FlowpackError:
    with pytest.raises(FlowpackError) as caught:
        planned(source, **asked)
    return caught.value


def test_an_evaluation_flow_is_refused_at_the_node_that_makes_it_one() -> None:
    error = refused(FLOWS / "evaluation")
    assert "cannot be deployed: node 'share' aggregates" in error.message
    assert error.location and error.location.line == 22


def test_chat_properties_name_what_the_flow_has(chat: Path) -> None:
    error = refused(chat, chat_input="quetsion")
    assert error.message == "azureml.promptflow.chat_input: the flow has no input 'quetsion'"
    assert error.hint == "did you mean 'question'?"
    error = refused(chat, properties={"azureml.promptflow.chat_output": "zzz"})
    assert error.hint == "it has answer"


def test_chat_needs_both_names(chat: Path) -> None:
    assert "does not say its chat interface" in refused(FLOWS / "python-only", mode="chat").message
    assert "does not say its chat interface" in refused(FLOWS / "python-only", chat_input="text").message
    assert isinstance(refused(chat, mode="none", chat_input="question"), UsageError)


def test_an_ignore_file_in_the_folder_would_change_the_upload(tmp_path: Path) -> None:
    flow = flow_folder(tmp_path / "project" / "flow")
    write_tree(tmp_path / "project", {".git/HEAD": "", ".amlignore": "*.md\n"})
    text = (flow / "flow.dag.yaml").read_text()
    (flow / "flow.dag.yaml").write_text("additional_includes: [../.amlignore]\n" + text)
    error = refused(flow)
    assert "azure-ai-ml would leave files out" in error.message
    assert error.location and (error.location.line, error.location.column) == (1, 23)


def test_the_digest_s_tag_is_not_for_a_person(chat: Path) -> None:
    assert isinstance(refused(chat, tags={"flowpack.flow.digest": "x"}), UsageError)
