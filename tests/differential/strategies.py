"""Projects as hypothesis makes them up: trees with odd names, includes, variants, ignore files, links."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from tests.differential.projects import Entry, Link, Program, Project

_NAMES = (
    *("a.txt", "b.md", "data", "c", "notes.v2", "two words.txt", "été.md", "資料", "#1.txt", "!x", "-v", "[a].txt"),
    *("requirements.txt", "requirements.lock", "a.zip", "flow.dag.yaml", "flow.tools.json", ".hidden", "100%", "*"),
    *(".env", ".env.local", ".venv", "pyvenv.cfg", ".git", "__pycache__", "x.pyc", ".promptflow", ".runs", ".azureml"),
)
_CONTENTS = st.sampled_from([b"", b"one\n", b"two\r\n", b"\x00\xff\xfe", "ü\n".encode()])
_FILES = _CONTENTS | st.builds(Program, _CONTENTS)
_PATTERNS = ("{}", "/{}", "{}/", "!{}", "{}/*", "**/{}", "!/{}/**", "*.txt", "[ab].*", "# {}", "", "*", "\\{}", "{} ")
# Plain scalars that YAML 1.1 and 1.2 read apart, and styles that are easily lost when text is edited.
_VALUES = (
    *("x", "no", "on", "1:30", "0o17", "1_000", "1e3", ".5", "~", "2024-01-01"),
    *("'a''b'", '"\\u00e9"', "[a, {b: 1}]"),
)
_TOOL = "from promptflow.core import tool\n\n\n@tool\ndef echo(x):\n    return x\n"
_FLOW_FILES = ("flow.dag.yaml",) * 18 + ("flow.dag.yml", "chat.yaml")


def _trees(depth: int) -> st.SearchStrategy[Mapping[str, Any]]:
    below = _FILES | _trees(depth - 1) if depth else _FILES
    return st.dictionaries(st.sampled_from(_NAMES), below, max_size=4)


def _entries(tree: Mapping[str, Any], prefix: str) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for name, entry in tree.items():
        below = _entries(entry, f"{prefix}{name}/") if isinstance(entry, Mapping) else {prefix + name: entry}
        found |= below or {prefix + name: None}
    return found


def _folders(entries: Mapping[str, Entry]) -> list[str]:
    above = {str(parent) for path in entries for parent in _parents(path)}
    return sorted(above | {path for path, entry in entries.items() if entry is None})


def _parents(path: str) -> list[str]:
    return [path[:index] for index, letter in enumerate(path) if letter == "/"]


@st.composite
def projects(draw: st.DrawFn) -> Project:
    flow = draw(st.sampled_from(["flow", "team/my flow"]))
    entries: dict[str, Entry] = {}
    for root in (flow, "shared", "lib.v1"):
        entries[f"{root}/tool.py"] = f"{_TOOL}# of {root}\n"
        entries |= _entries(draw(_trees(2)), f"{root}/")
    file = f"{flow}/{draw(st.sampled_from(_FLOW_FILES))}"
    not_there = (f"{file}/", f"{flow}/.git/")  # a flow that is a repository reaches nothing outside it
    entries = {path: entry for path, entry in entries.items() if not f"{path}/".startswith(not_there)}
    _add_ignore_files(draw, entries)
    _add_links(draw, entries, [flow, "shared"])
    includes = draw(st.lists(_include(entries, flow), max_size=4))
    nodes = draw(st.lists(st.sampled_from([0, 1, 2]), max_size=3))  # how many variants each has
    entries[file] = _flow_file(draw, nodes, includes)
    chosen = [None, *(f"n{node}.v{each}" for node, count in enumerate(nodes) for each in range(count))]
    return Project(dict(sorted(entries.items())), draw(st.sampled_from(chosen)), file)


def _add_ignore_files(draw: st.DrawFn, entries: dict[str, Entry]) -> None:
    names = sorted({part for path in entries for part in path.split("/")[1:]})
    pattern = st.builds(lambda form, name: form.format(name), st.sampled_from(_PATTERNS), st.sampled_from(names))
    text = st.lists(pattern, min_size=1, max_size=4).map(lambda lines: "\n".join(lines) + "\n")
    kinds = st.sampled_from([".gitignore", ".amlignore", ".flowpackignore"])
    for folder in draw(st.lists(st.sampled_from(_folders(entries)), max_size=3, unique=True)):
        entries[f"{folder}/{draw(kinds)}"] = draw(text)


def _add_links(draw: st.DrawFn, entries: dict[str, Entry], roots: Sequence[str]) -> None:
    """Links into the folder that has none itself, so that promptflow cannot walk in circles."""
    targets = [path for path in [*_folders(entries), *entries] if path.startswith("lib.v1")] * 4 + ["nowhere"]
    for root in draw(st.lists(st.sampled_from(roots), max_size=2)):
        path = f"{root}/{draw(st.sampled_from(['link', 'link.txt', 'tool.py']))}"
        if not any(each.startswith(f"{path}/") for each in entries):
            entries[path] = Link(posixpath.relpath(draw(st.sampled_from(targets)), root))


def _include(entries: Mapping[str, Entry], flow: str) -> st.SearchStrategy[str]:
    folders = [each for each in _folders(entries) if not f"{flow}/".startswith(f"{each}/")]
    linked = [path for path, entry in entries.items() if isinstance(entry, Link)]
    path = st.sampled_from([*folders, *(each for each in entries if not each.startswith(f"{flow}/"))])
    zipped = st.sampled_from([*folders, *linked]).map(lambda each: f"{each}.zip")
    relative = (path | zipped).map(lambda each: posixpath.relpath(each, flow))
    absolute = path.map(lambda each: f"{{project}}/{each}")
    return relative | relative.map(lambda each: f"./{each}") | absolute


def _flow_file(draw: st.DrawFn, nodes: Sequence[int], includes: Sequence[str]) -> str:
    listed = "".join(f"- {json.dumps(each, ensure_ascii=False)}\n" for each in includes)
    head = f"inputs:\n  given: {{type: string, default: {draw(st.sampled_from(_VALUES))}}}  # a comment\n"
    parts = [head, _nodes(draw, nodes), f"additional_includes:\n{listed}" if listed else ""]
    text = "".join(draw(st.permutations(parts)))
    return draw(st.sampled_from([text, text, text.replace("\n", "\r\n"), "\ufeff" + text]))


def _nodes(draw: st.DrawFn, nodes: Sequence[int]) -> str:
    if not nodes:
        return "nodes: []\n"
    value = st.sampled_from(_VALUES)
    body = "type: python\n{0}source: {{type: code, path: tool.py}}\n{0}inputs:\n{0}  x: {1}  # the input\n"
    text, variants = "nodes:\n", ""
    for number, count in enumerate(nodes):
        text += f"- name: n{number}\n  " + (body.format("  ", draw(value)) if not count else "use_variants: true\n")
        if count:
            variants += f"  n{number}:\n    default_variant_id: v{draw(st.integers(0, count - 1))}\n    variants:\n"
        for each in range(count):
            variants += f"      v{each}:\n        node:\n          " + body.format(" " * 10, draw(value))
    return text + (f"node_variants:\n{variants}" if variants else "")
