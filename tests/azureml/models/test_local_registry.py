from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from flowpack.azureml.models.local_registry import LocalRegistry
from flowpack.azureml.models.registration import register_model
from flowpack.azureml.models.registry import ModelRegistry
from flowpack.errors import AzureError, InputError
from tests.azureml.models.examples import content_folder, document
from tests.azureml.models.registry_contract import RegistryContract
from tests.paths import ROOT, write_tree


class TestLocalRegistry(RegistryContract):
    @pytest.fixture
    def registry(self, tmp_path: Path) -> ModelRegistry:
        return LocalRegistry(tmp_path / "registry")

    def test_a_version_is_a_folder_with_its_document_and_its_content(self, registry: LocalRegistry) -> None:
        made = self.register(registry, document("a")).version
        folder = registry.root / "chat" / "1"
        assert (made.id, made.path) == (str(folder), str(folder / document("a").folder_name))
        assert (folder / "model.yaml").read_text() == replace(document("a"), version="1").text()
        assert (Path(made.path) / "sub/content.txt").read_text() == document("a").flow_digest

    def test_what_a_crash_left_is_no_version_and_goes_away(self, registry: LocalRegistry) -> None:
        left = write_tree(registry.root / "chat" / ".unfinished-1", {"model.yaml": "name: chat\n"})
        assert registry.names() == []
        assert registry.versions("chat") == []
        assert self.register(registry, document("a")).version.version == "1"
        assert not left.exists()

    def test_a_document_that_someone_broke_is_named(self, registry: LocalRegistry) -> None:
        self.register(registry, document("a"))
        broken = write_tree(registry.root / "chat" / "2", {"model.yaml": "name: chat\n"})
        with pytest.raises(InputError) as caught:
            registry.versions("chat")
        assert caught.value.location and caught.value.location.path == broken / "model.yaml"

    def test_a_place_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(AzureError, match=r"file/chat: cannot (be read|write here): Not a directory"):
            self.register(LocalRegistry(tmp_path / "file"), document("a"))


@pytest.mark.attack("held: kill -9 at any moment")
def test_kill_9_in_the_middle_leaves_a_whole_version_or_none(tmp_path: Path) -> None:
    root, wanted = tmp_path / "registry", document("a")
    folder = content_folder(tmp_path, wanted)
    write_tree(folder, {f"many/{number}.txt": "x" * 1000 for number in range(200)})
    code = (
        "import sys; from pathlib import Path; from tests.azureml.models.examples import document\n"
        "from flowpack.azureml.models.local_registry import LocalRegistry\n"
        "from flowpack.azureml.models.registration import register_model\n"
        f"register_model(LocalRegistry(Path({str(root)!r})), document('a'), Path({str(folder)!r}))"
    )
    whole = sum(1 for _ in folder.rglob("*"))
    for attempt in range(8):
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
        while process.poll() is None and not list(root.glob("chat/.unfinished-*")):
            time.sleep(0.0005)
        time.sleep(attempt * 0.004)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for version in LocalRegistry(root).versions("chat"):
            assert sum(1 for _ in Path(version.path).rglob("*")) == whole
    registered = register_model(LocalRegistry(root), wanted, folder)
    assert registered.version.version == "1"
    assert sorted(path.name for path in (root / "chat").iterdir()) == [".lock", "1"]
