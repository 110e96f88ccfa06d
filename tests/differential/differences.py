"""The differences between promptflow's standalone folder and flowpack's that are there on purpose, each by its name.

``compare`` names what it can and gives the rest back in words. Each name has a row in
``docs/explanation/differences-from-pf-flow-build.md`` and an example in ``test_named_differences``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from flowpack.flows.resolve import FLOW_FILE_NAMES
from tests.differential.oracle import Oracle
from tests.differential.sources import IGNORE_FILES, Source, includes_of, made_zips, sources_of
from tests.differential.trials import File, Trial

# What flowpack refuses and promptflow builds, by flowpack's words.
REFUSED_HERE = {
    "file-or-folder": r"a path cannot be both a file and a folder",
    "flow-in-an-include": r"contains the flow itself",
    "flow-file-included": r"would replace the flow file itself",
    "broken-link": r"symbolic link's target '.*' does not exist|is a symbolic link to nothing",
    "loop-of-links": r"symbolic link leads back",
    "out-of-the-project": r"symbolic link leads out of the project|is outside the project root",
    "into-version-control": r"leads into version control",
    "special-file": r"is not a regular file",
    "includes-as-text": r"expected a list of paths",
}
OTHERS = {
    "another-file-name",
    "other-flow-file",
    "nested-zip",
    "archive-bytes",
    "always-out",
    "ignore-files",
    "flowpackignore",
    "rules-of-an-included-folder",
    "rules-that-an-include-brings",
    "rules-behind-a-link",
    "ignored-folder",
    "included-yet-ignored",
    "lockfile",
    "flow-file-ignored",
    "flow-file-as-written",
    "sample-in-place",
    "signature",
    "includes-of-a-prompty",
    "file-modes",
    "variants-without-includes",
}
NAMES = {*REFUSED_HERE, *OTHERS}


@dataclass
class Differences:
    named: set[str] = field(default_factory=set)
    unnamed: list[str] = field(default_factory=list)

    def add(self, name: str | None, otherwise: str) -> None:
        if name:
            self.named.add(name)
        else:
            self.unnamed.append(otherwise)


def compare(trial: Trial, oracle: Oracle) -> Differences:
    found = Differences()
    theirs, ours = trial.theirs, trial.ours
    if ours.refused and not theirs.refused:
        found.add(_refused_here(trial, ours.refused), f"refused: {ours.refused}")
    elif theirs.refused and not ours.refused:
        found.add(_refused_there(trial, theirs.refused), f"promptflow refuses: {theirs.refused}")
    elif not ours.refused:
        if made_zips(trial.source):
            found.named.add("archive-bytes")
        for target in sorted({*theirs.files, *ours.files}):
            their, our = theirs.files.get(target), ours.files.get(target)
            if their != our:
                found.add(_name(trial, oracle, target), f"'{target}': promptflow {their}, flowpack {our}")
    return found


def _refused_here(trial: Trial, words: str) -> str | None:
    for name, pattern in REFUSED_HERE.items():
        if re.search(pattern, words):
            return name
    lacking = re.search(r"'([^']+)' is not in the standalone folder", words)
    return _left_out(trial, lacking[1]) if lacking else None


def _refused_there(trial: Trial, words: str) -> str | None:
    if trial.source.name not in FLOW_FILE_NAMES:
        return "another-file-name"
    if words.startswith("ValidationException: Multiple files"):
        return "other-flow-file"
    if words.startswith("Error: [(") and _has_a_broken_link(trial):
        return "broken-link"
    if re.match("FileExistsError|NotADirectoryError", words) and _clashes(trial):
        return "file-or-folder"
    return "nested-zip" if words.startswith("FileNotFoundError") and _has_a_nested_zip(trial) else None


def _name(trial: Trial, oracle: Oracle, target: str) -> str | None:
    their, our = trial.theirs.files.get(target), trial.ours.files.get(target)
    if target in {place for name in _clashes(trial) for place in (name, f"{name}/{name}")}:
        return "file-or-folder"
    if target in {trial.theirs.flow_file, trial.ours.flow_file}:
        return _flow_file(trial, oracle)
    if our is None:
        return _left_out(trial, target)
    if their is None:
        return _kept(trial, target, our)
    if their.content != our.content:
        return _another(trial, target, our)
    return "file-modes" if bool(their.mode & 0o100) == bool(our.mode & 0o100) else None


def _clashes(trial: Trial) -> set[str]:
    """Names at which both a file and a folder land; in flowpack's folder a folder without files leaves no trace."""
    landing = {(path.name, path.is_dir()) for path in [*trial.source.parent.iterdir(), *includes_of(trial.source)]}
    return {name for name, is_folder in landing if is_folder and (name, False) in landing}


def _left_out(trial: Trial, target: str) -> str | None:
    """Why promptflow alone has the file: the policy leaves out all that lands there."""
    if target in FLOW_FILE_NAMES:
        return "other-flow-file"
    sources = sources_of(target, trial.source)
    if not sources and {".promptflow", "__pycache__"} & {*target.split("/")}:
        return "always-out"  # made by promptflow, which imports the tools to describe them
    if not sources or any(source.why_out is None for source in sources):
        return "lockfile" if target == "requirements.lock" and sources and not sources[-1].included else None
    return _rule(trial, sources[-1])


def _rule(trial: Trial, source: Source) -> str:
    """The name of the difference that lies in a rule by which flowpack leaves a file out."""
    rule = source.why_out
    named = {"always out": "always-out", "an ignore file": "ignore-files", ".flowpackignore": "flowpackignore"}
    if rule in named:
        return named[rule]
    return "rules-of-an-included-folder" if source.included else _reading_of_rules(trial, source)


def _reading_of_rules(trial: Trial, source: Source) -> str:
    """Both have a rule for a file of the flow's own, and read it differently."""
    if any(path.name in IGNORE_FILES for path in includes_of(trial.source)):
        return "rules-that-an-include-brings"
    if (trial.source.parent / ".flowpackignore").is_file():
        return "flowpackignore"
    if any(path.is_symlink() for path in source.path.parents if trial.source.parent in path.parents):
        return "rules-behind-a-link"
    return "ignored-folder"


def _kept(trial: Trial, target: str, our: File) -> str | None:
    """Why flowpack alone has the file: promptflow takes it and then ignores it, or leaves it out of an archive."""
    if trial.source.suffix == ".prompty":
        return "includes-of-a-prompty"
    source = next((each for each in reversed(sources_of(target, trial.source)) if not each.why_out), None)
    if source is None or source.path.read_bytes() != our.content:
        return None
    if ".zip/" in target and _has_a_nested_zip(trial):
        return "nested-zip"
    return "included-yet-ignored" if source.included else _reading_of_rules(trial, source)


def _another(trial: Trial, target: str, our: File) -> str | None:
    """Why the file is another than promptflow's: of several that land there, flowpack leaves the last out."""
    *earlier, last = sources_of(target, trial.source)
    kept = next((each for each in reversed(earlier) if not each.why_out), None)
    if last.why_out and kept and kept.path.read_bytes() == our.content:
        return _rule(trial, last)
    return None


def _flow_file(trial: Trial, oracle: Oracle) -> str | None:
    theirs, ours = trial.theirs, trial.ours
    if theirs.flow_file != ours.flow_file:
        return "another-file-name"
    if theirs.flow_file not in theirs.files:
        return "flow-file-ignored"
    if oracle.data(theirs.folder / theirs.flow_file) == oracle.data(ours.folder / ours.flow_file):
        return "flow-file-as-written"
    if theirs.flow_file.startswith("flow.flex."):
        return _flex_file(trial, oracle)
    wanted = oracle.standalone_data(trial.source, trial.variant)
    ours_is_right = oracle.data(ours.folder / ours.flow_file) == wanted
    return "variants-without-includes" if ours_is_right and not includes_of(trial.source) else None


def _flex_file(trial: Trial, oracle: Oracle) -> str | None:
    for name, keys in {"sample-in-place": ["sample"], "signature": ["inputs", "outputs", "init"]}.items():
        theirs, ours = (oracle.data(made.folder / made.flow_file, without=keys) for made in (trial.theirs, trial.ours))
        if theirs == ours:
            return name
    return None


def _has_a_nested_zip(trial: Trial) -> bool:
    return any(path.is_dir() for folder in made_zips(trial.source) for path in folder.iterdir())


def _has_a_broken_link(trial: Trial) -> bool:
    return any(path.is_symlink() and not path.exists() for path in trial.source.parent.rglob("*"))
