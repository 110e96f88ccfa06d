"""Each reader takes a small honest text as what it is: one that refuses everything is quick, and proves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.readers import READERS, reader

# For each reader an honest text, and what only somebody who has read it can say.
HONEST = {
    "YAML": ("a: [b, 1]\n", "{'a': ['b', 1]}"),
    "flow.dag.yaml": (
        "inputs: {}\noutputs: {}\nnodes:\n- name: n\n  type: llm\n  connection: speaks\n  api: chat\n"
        "  source: {type: code, path: a.jinja2}\n",
        "speaks",
    ),
    "flow.flex.yaml": ("entry: main:f\nsample:\n  inputs: {a: speaks}\n", "speaks"),
    "prompty": (
        "---\nmodel:\n  api: chat\n  configuration: {type: azure_openai, connection: speaks}\n"
        "  parameters: {}\n---\nhello\n",
        "speaks",
    ),
    "Jinja": ("{{ quest }}\n", "FP122"),
    "Python signatures": (
        "from promptflow.core import tool\n\n@tool\ndef f(speaks: int = 3): pass\n",
        "'speaks': Parameter",
    ),
    "Python imports": ("import beside\n", "beside"),
    "requirements": ("speaks==1.0\n--find-links https://example.org/\n", "speaks==1.0"),
    "lock": (f"speaks==1.0 \\\n    --hash=sha256:{'0' * 64}\n", "speaks"),
    "ignore file": ("*.py\n", "*.py"),
    "conda file": ("dependencies:\n- python=3.11\n- pip\n- pip:\n  - speaks==1.0\n", "speaks==1.0"),
    "Dockerfile.base": ("FROM speaks:1\n", "speaks"),
    "env file": ("A=speaks\n", "speaks"),
    "settings.json": ('{"SPEAKS": "a"}\n', "SPEAKS"),
    "samples.json": ('[{"a": "speaks"}]\n', "speaks"),
    "inputs": ('{"a": "speaks"}\n', "speaks"),
    "baseline": ('{"version": 1, "findings": []}\n', "Baseline"),
    "check: a flow": (
        "inputs: {}\noutputs:\n  b: {type: string, reference: '${nodes.output}'}\nnodes:\n- name: node\n"
        "  type: python\n  source: {type: code, path: tool.py}\n  inputs: {a: b}\n",
        "FP103",
    ),
    "check: a source": (
        "from promptflow.core import tool\n\n@tool\ndef f(speaks: str) -> str:\n    return speaks\n",
        "speaks",
    ),
    "check: a deployment": ("endpoint_name: a\nname: blue\nmodel: .\ninstance_typ: speaks\n", "deployment.yaml"),
}


def test_every_reader_has_an_honest_text() -> None:
    assert set(HONEST) == {each.name for each in READERS}


@pytest.mark.parametrize("name", HONEST)
def test_a_reader_takes_an_honest_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    folder = tmp_path / "project" / "flow"
    folder.mkdir(parents=True)
    (folder.parent / ".git").mkdir()
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(tmp_path / "cache"))
    text, said = HONEST[name]
    each = reader(name)
    each.lay(folder, text)
    assert said in repr(each.read(folder))
