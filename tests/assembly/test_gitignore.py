"""Ignore rules mean what git means: ``git check-ignore`` is the oracle, down to the line that decides."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowpack.assembly.ignore import IgnoreRules
from flowpack.assembly.roots import IncludeRoots
from flowpack.assembly.sources import FolderWalk
from flowpack.errors import InputError
from tests.paths import write_tree

# Names that patterns treat specially among them, and pieces of patterns: a few of each, so that they meet often.
NAMES = [
    "a",
    "b",
    "ab",
    "ba",
    "abc",
    "a.b",
    "axb",
    "A",
    "é",
    "aé",
    "a b",
    "a ",
    " a",
    "[",
    "a]",
    "-",
    "!a",
    "#a",
    "a\\",
]
PIECES = [
    *("a", "b", "ab", "é", ".", " ", "/", "/", "/", "*", "**", "**/", "/**", "***", "?", "!", "#", "\\", "\\a", "\\ "),
    *("[ab]", "[!a]", "[^a]", "[a-c]", "[]a]", "[!]a]", "[z-a]", "[\\]a]", "[a-\\c]", "[a-]", "[", "]", "-", "a*a"),
    *("[[:alpha:]]", "[[:foo:]]", "[[:punct:][:space:]]", "[[:print:]-b]", "[[:a]", "[é]", "\t", "\r", "\f", "\x85"),
]

patterns = st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join)
ignore_files = st.builds(
    lambda bom, lines, ending, last: bom + ending.join(lines) + last,
    st.sampled_from(["", "", "", "\ufeff"]),
    st.lists(patterns, min_size=1, max_size=5),
    st.sampled_from(["\n", "\n", "\r\n"]),
    st.sampled_from(["", "\n", "\r"]),
)
trees = st.recursive(
    st.just({}), lambda below: st.dictionaries(st.sampled_from(NAMES), below, min_size=1, max_size=4), max_leaves=14
)


@pytest.fixture(scope="module")
def repository() -> Iterator[Path]:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(["git", "init", "--quiet", name], check=True, env=_environment(name))
        yield Path(name)


def _environment(home: object) -> dict[str, str]:
    """Nobody's own ignore rules."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}


def git_says(folder: Path, paths: list[str]) -> dict[str, int | None]:
    """For each path the line of the pattern that leaves it out."""
    command = ["git", "check-ignore", "-z", "--stdin", "--verbose", "--non-matching", "--no-index"]
    done = subprocess.run(
        command,
        cwd=folder,
        input=os.fsencode("\0".join(paths)),
        capture_output=True,
        check=False,
        env=_environment(folder),
    )
    fields = [os.fsdecode(field) for field in done.stdout.split(b"\0")[:-1]]
    rows = [fields[start : start + 4] for start in range(0, len(fields), 4)]
    return {path: int(line) if line and not pattern.startswith("!") else None for _, line, pattern, path in rows}


def make(folder: Path, tree: dict[str, dict], prefix: str = "") -> Iterator[str]:  # type: ignore[type-arg]
    """Folders where there is something below, files elsewhere."""
    for name, below in tree.items():
        yield prefix + name
        if below:
            (folder / prefix / name).mkdir(parents=True)
            yield from make(folder, below, f"{prefix}{name}/")
        else:
            (folder / prefix / name).touch()


def agree(folder: Path, paths: list[str]) -> None:
    expected = git_says(folder, paths)
    try:
        rules = IgnoreRules.of(folder)
    except InputError as refused:  # what pathspec would read otherwise: said, with its line, rather than guessed
        assert "cannot be read as git reads it" in refused.message
        assert refused.location is not None
        assert refused.location.line is not None
        return
    found = {path: rules.why_left_out(folder, path) for path in paths}
    assert {path: rule.location.line if rule else None for path, rule in found.items()} == expected  # type: ignore[union-attr]
    walked = {relative for relative, _ in FolderWalk(folder, IncludeRoots.of(folder)).files()}
    assert walked == {path for path, line in expected.items() if line is None and (folder / path).is_file()}


_numbers = itertools.count()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=ignore_files, tree=trees)
def test_generated_patterns_over_generated_trees(repository: Path, text: str, tree: dict[str, dict]) -> None:  # type: ignore[type-arg]
    folder = repository / str(next(_numbers))
    folder.mkdir()
    paths = list(make(folder, tree))
    (folder / ".gitignore").write_bytes(text.encode())
    if paths:
        agree(folder, paths)


@pytest.mark.parametrize(
    "text",
    [
        "*.log\n!keep.log\n",
        "/data/*\n!/data/keep.txt\n",
        "data/\n!data/keep.txt\n",
        "**/cache\ncache/**\n",
        "data/**/x.bin\n",
        "# comment\n\\#not\n\\!bang\n",
        "trailing \nkept\\ \n",
        "build\r\nout/\r\n",
        "a[!b]c\n[a-c].txt\n",
        "/*\n!/src\n/src/*\n!/src/keep\n",
        "*\n!*/\n!*.py\n",
        "/sub**/x.bin\n",
        "broken[\nalso\\\n*.log\n",
    ],
)
def test_patterns_as_people_write_them(repository: Path, text: str) -> None:
    names = ["keep.log", "x.log", "data/keep.txt", "data/x.bin", "data/deep/x.bin", "cache/a", "sub/cache/b", "#not"]
    names += [
        "!bang",
        "trailing",
        "kept ",
        "build",
        "out/a",
        "sub/out",
        "abc",
        "adc",
        "b.txt",
        "src/keep/a.py",
        "src/b.py",
    ]
    names += ["sub/x.bin", "subway/x.bin"]
    folder = write_tree(repository / str(next(_numbers)), dict.fromkeys(names, "") | {".gitignore": text})
    folders = {str(parent) for name in names for parent in Path(name).parents if str(parent) != "."}
    agree(folder, [*names, *folders])


def test_a_name_that_is_not_ascii_is_matched_as_its_bytes(repository: Path) -> None:
    folder = write_tree(repository / str(next(_numbers)), {"é": "", "e": "", ".gitignore": "?\n"})
    agree(folder, ["é", "e"])
    assert (folder / "é").is_file()
