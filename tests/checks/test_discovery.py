"""What counts as a flow in a repository, and which documents are its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.checks.discovery import find_places
from flowpack.errors import InputError, UsageError
from tests.paths import write_tree

DAG = "nodes: []\n"
ENDPOINT = "name: one\nauth_mode: key\n"


def flows(folder: Path, *sources: str) -> list[str]:
    places = find_places(sources or [str(folder)])
    return [place.flow.relative_to(folder).as_posix() for place in places if place.flow]


def test_every_kind_of_flow_in_a_repository_is_found(tmp_path: Path) -> None:
    write_tree(
        tmp_path,
        {
            "a/flow.dag.yaml": DAG,
            "b/deep/flow.flex.yml": "entry: a:b",
            "c/chat.prompty": "",
            "d/other.dag.yaml": DAG,
            "e/pipeline.dag.yaml": "tasks: []",
            "README.md": "",
        },
    )
    assert flows(tmp_path) == ["a/flow.dag.yaml", "b/deep/flow.flex.yml", "c/chat.prompty", "d/other.dag.yaml"]


def test_a_prompty_of_a_flow_is_no_flow_of_its_own(tmp_path: Path) -> None:
    write_tree(tmp_path, {"flow/flow.flex.yaml": "entry: a:b", "flow/chat.prompty": "", "flow/more/chat.prompty": ""})
    assert flows(tmp_path) == ["flow/flow.flex.yaml"]


def test_a_prompty_that_is_there_for_code_is_no_flow_unless_it_is_asked_for(tmp_path: Path) -> None:
    whole = "---\nmodel:\n  configuration: {type: openai}\n---\n"
    write_tree(tmp_path, {f"{name}.prompty": whole for name in ("a/chat", "b/chat")})
    write_tree(tmp_path, {"a/score.prompty": "---\nmodel: {api: chat}\n---\n"})
    write_tree(tmp_path, {"a/score.py": "Prompty.load('score.prompty', model=model)\nPrompty.load('chat.prompty')\n"})
    write_tree(tmp_path, {"b/chat.py": "import prompty\nprompty.execute('chat.prompty')\n"})
    assert flows(tmp_path) == ["a/chat.prompty"]
    assert flows(tmp_path, str(tmp_path / "a" / "score.prompty")) == ["a/score.prompty"]


@pytest.mark.parametrize(
    "inside", [".venv", "env", ".git", "node_modules", ".promptflow/flow_1", "built", "lib/site-packages/tool"]
)
def test_environments_caches_and_builds_are_passed_over(inside: str, tmp_path: Path) -> None:
    write_tree(tmp_path, {"env/pyvenv.cfg": "", "built/flowpack.json": "{}", "flow/flow.dag.yaml": DAG})
    write_tree(tmp_path / inside, {"flow/flow.dag.yaml": DAG})
    assert flows(tmp_path) == ["flow/flow.dag.yaml"]


def test_globs_files_and_folders_are_sources_each_flow_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(tmp_path, {f"{name}/flow.dag.yaml": DAG for name in ("chat-a", "chat-b", "eval-a")})
    monkeypatch.chdir(tmp_path)
    assert flows(tmp_path, "chat-*") == ["chat-a/flow.dag.yaml", "chat-b/flow.dag.yaml"]
    assert flows(tmp_path, "**/flow.dag.yaml", "eval-a") == [
        f"{name}/flow.dag.yaml" for name in ("chat-a", "chat-b", "eval-a")
    ]
    assert flows(tmp_path, "eval-a/flow.dag.yaml") == ["eval-a/flow.dag.yaml"]


def test_documents_belong_to_the_flow_in_or_above_their_folder(tmp_path: Path) -> None:
    write_tree(
        tmp_path,
        {
            "flow/flow.dag.yaml": DAG,
            "flow/azure/endpoint.yaml": ENDPOINT,
            "azure/endpoint.yaml": ENDPOINT,
            "flow/settings.yaml": "a: 1",
        },
    )
    of_the_flow, apart = find_places([str(tmp_path)])
    assert of_the_flow.documents == (tmp_path / "flow/azure/endpoint.yaml",)
    assert (apart.flow, apart.documents) == (None, (tmp_path / "azure/endpoint.yaml",))


def test_what_does_not_exist_is_a_wrong_command_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        find_places([str(tmp_path / "nothing-*")])


def test_a_folder_without_a_flow_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no flow here"):
        find_places([str(tmp_path)])
