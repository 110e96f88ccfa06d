from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from flowpack.azureml.models.document import ModelDocument
from tests.azureml.models.examples import document


def test_a_chat_flow_s_document_is_that_of_microsoft_s_article() -> None:
    stated = ModelDocument(
        name="basic-chat-model",
        version="1",
        description="register basic chat flow folder as a custom model",
        properties={
            "azureml.promptflow.source_flow_id": "basic-chat",
            "azureml.promptflow.mode": "chat",
            "azureml.promptflow.chat_input": "question",
            "azureml.promptflow.chat_output": "answer",
        },
        tags={"flowpack.flow.digest": "sha256:" + "0" * 64},
    )
    assert yaml.safe_load(stated.text()) == {
        "$schema": "https://azuremlschemas.azureedge.net/latest/model.schema.json",
        "name": "basic-chat-model",
        "version": "1",
        "type": "custom_model",
        "path": stated.folder_name,
        "description": "register basic chat flow folder as a custom model",
        "properties": dict(stated.properties),
        "tags": dict(stated.tags),
    }


@pytest.mark.parametrize("value", ["yes", "1:30", "0o17", "null", "1", "a: b", "*", "\u2028", "line\nline", "é"])
def test_values_stay_strings_for_every_reader(value: str) -> None:
    stated = document(tags={**document().tags, "note": value}, description=value)
    read = yaml.safe_load(stated.text())
    assert (read["tags"]["note"], read["description"]) == (value, value)


def test_the_folder_is_named_for_the_content_and_the_properties_and_for_nothing_else() -> None:
    name = document("a").folder_name
    assert replace(document("a"), name="other", version="3", description="d").folder_name == name
    assert document("a", tags={**document("a").tags, "x": "y"}).folder_name == name
    assert document("b").folder_name != name
    assert document("a", properties={"azureml.promptflow.source_flow_id": "other"}).folder_name != name
