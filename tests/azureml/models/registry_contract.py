"""What holds for every registry of models: run on the folder, and on a workspace with the real azure-ai-ml."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flowpack.azureml.models.document import FLOW_DIGEST, SOURCE_FLOW_ID, ModelDocument
from flowpack.azureml.models.listing import flow_versions
from flowpack.azureml.models.registration import Registered, register_model
from flowpack.azureml.models.registry import ModelRegistry, VersionTaken
from flowpack.errors import InputError
from tests.azureml.models.examples import content_folder, document


class RegistryContract:
    @pytest.fixture
    def registry(self) -> ModelRegistry:
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path, registry: ModelRegistry) -> None:
        self.place = tmp_path / "content"

    def register(self, registry: ModelRegistry, wanted: ModelDocument) -> Registered:
        return register_model(registry, wanted, content_folder(self.place, wanted))

    def test_an_empty_registry_has_no_models(self, registry: ModelRegistry) -> None:
        assert registry.names() == []
        assert registry.versions("chat") == []
        assert registry.next_number("chat") == 1

    def test_the_same_content_is_one_version_and_another_the_next(self, registry: ModelRegistry) -> None:
        first = self.register(registry, document("a", description="the first"))
        assert (first.state, first.version.version) == ("created", "1")
        assert self.register(registry, document("b")).version.version == "2"
        again = self.register(registry, document("a"))
        assert (again.state, again.version) == ("unchanged", first.version)
        assert registry.names() == ["chat"]
        held = registry.versions("chat")
        assert [each.version for each in held] == ["1", "2"]
        assert held[0].description == "the first"
        assert held[0].tags == document("a").tags
        assert held[0].properties[SOURCE_FLOW_ID] == "chat"

    def test_other_properties_are_another_version_as_properties_never_change(self, registry: ModelRegistry) -> None:
        self.register(registry, document("a"))
        other = document("a", properties={SOURCE_FLOW_ID: "another"})
        assert self.register(registry, other).version.version == "2"
        assert self.register(registry, other).state == "unchanged"

    def test_new_tags_and_a_new_description_are_written_to_the_version_that_is_there(
        self, registry: ModelRegistry
    ) -> None:
        self.register(registry, document("a"))
        digest = document("a").tags[FLOW_DIGEST]
        image = "example.azurecr.io/chat@sha256:" + "1" * 64
        wanted = document("a", tags={FLOW_DIGEST: digest, "flowpack.image": image}, description="with its image")
        assert self.register(registry, wanted).state == "updated"
        [held] = registry.versions("chat")
        assert held.tags == {FLOW_DIGEST: digest, "team": "library", "flowpack.image": image}
        assert held.description == "with its image"
        assert self.register(registry, wanted).state == "unchanged"

    def test_a_later_revision_of_the_same_flow_changes_nothing(self, registry: ModelRegistry) -> None:
        def at(revision: str) -> ModelDocument:
            return document("a", tags={**document("a").tags, "flowpack.revision": revision})

        self.register(registry, at("1111"))
        assert self.register(registry, at("2222")).state == "unchanged"
        [held] = registry.versions("chat")
        assert held.tags["flowpack.revision"] == "1111"

    def test_a_chosen_version_is_made_once(self, registry: ModelRegistry) -> None:
        assert self.register(registry, document("a", version="7")).version.version == "7"
        assert self.register(registry, document("a", version="7")).state == "unchanged"
        with pytest.raises(InputError, match="version 7 of 'chat' is there already and has another content"):
            self.register(registry, document("b", version="7"))
        assert self.register(registry, document("b")).version.version == "8"

    def test_a_version_that_another_made_with_another_content_is_taken(self, registry: ModelRegistry) -> None:
        one, other = document("a", version="1"), document("b", version="1")
        registry.create(one, content_folder(self.place, one))
        with pytest.raises(VersionTaken):
            registry.create(other, content_folder(self.place, other))
        [held] = registry.versions("chat")
        assert held.holds(one)

    def test_who_loses_a_number_to_another_content_takes_the_next(self, registry: ModelRegistry) -> None:
        late = _Late(registry, self.place)
        registered = register_model(
            late, document("b"), content_folder(self.place, document("b")), sleep=late.pauses.append
        )
        assert registered.version.version == "2"
        assert [each.tags[FLOW_DIGEST] for each in registry.versions("chat")] == [
            document("a").flow_digest,
            document("b").flow_digest,
        ]
        assert len(late.pauses) == 1

    def test_versions_are_listed_the_newest_first_and_models_without_a_flow_are_not(
        self, registry: ModelRegistry
    ) -> None:
        for content in "abc":
            self.register(registry, document(content))
        self.register(registry, document("a", name="weights", properties={"team": "vision"}))
        assert [(each.name, each.version) for each in flow_versions(registry, None)] == [
            ("chat", "3"),
            ("chat", "2"),
            ("chat", "1"),
        ]
        assert [each.name for each in flow_versions(registry, "weights")] == ["weights"]
        with pytest.raises(InputError) as caught:
            flow_versions(registry, "chart")
        assert caught.value.hint == "did you mean 'chat'?"


class _Late:
    """A registry in which another writer makes the version that is about to be made."""

    def __init__(self, registry: ModelRegistry, place: Path) -> None:
        self._registry = registry
        self._place = place
        self.pauses: list[float] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._registry, name)

    def create(self, wanted: ModelDocument, folder: Path) -> object:
        if not self.pauses:
            other = replace(document("a"), version=wanted.version)
            self._registry.create(other, content_folder(self._place, other))
        return self._registry.create(wanted, folder)
