"""Merges the files of the flow and of its includes into one listing. Of two files for one target, the last wins."""

from __future__ import annotations

from dataclasses import dataclass

from flowpack.assembly.files import FileSource, digest_of
from flowpack.assembly.names import case_clashes, unfit_names
from flowpack.errors import InputError, Location, shown_path
from flowpack.flows.model import Flow, Include
from flowpack.reporting import Reporter


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two different files for one target, of which the last won."""

    message: str
    location: Location


class Merge:
    """Files by target path. Two different files for one target cause a warning, or with ``strict`` an error."""

    def __init__(self, flow: Flow, reporter: Reporter, *, strict: bool) -> None:
        self.files: dict[str, FileSource] = {}
        self.included_by: dict[str, Include] = {}
        self.conflicts: list[Conflict] = []
        self._folders: dict[str, str] = {}  # each folder, with one file below it
        self._flow_file = flow.file
        self._standalone_name = flow.standalone_name
        self._reporter = reporter
        self._strict = strict

    def add(self, target: str, source: FileSource, include: Include | None = None) -> None:
        if target in self._folders:
            raise self._file_or_folder(target, source, target, include)
        self._add_folders(target, source, include)
        earlier = self.files.get(target)
        self.files[target] = source
        if include is None:
            return
        self.included_by[target] = include
        if earlier and _differ(earlier, source):
            if target == self._standalone_name:
                raise InputError(
                    f"'{include.path}' would replace the flow file itself",
                    location=include.location,
                    hint="build the other flow instead; a flow's own file cannot come from an include",
                )
            both = f"from '{shown_path(source.origin)}' and replaces '{shown_path(earlier.origin)}'"
            self._conflict(f"'{target}' comes {both}", include.location)

    def check_names(self) -> None:
        """Reports names that clash or are not allowed on other systems."""
        for one, other in case_clashes(self.files):
            both = f"'{shown_path(self.files[one].origin)}' and '{shown_path(self.files[other].origin)}'"
            include = self.included_by.get(other) or self.included_by.get(one)
            self._conflict(
                f"'{one}' and '{other}' are the same file on Windows and macOS; they come from {both}",
                self._location(include),
            )
        for line in unfit_names(self.files):
            self._reporter.warning(f"{self._location(None)}: {line}")

    def _add_folders(self, target: str, source: FileSource, include: Include | None) -> None:
        folder = target.rpartition("/")[0]
        while folder and folder not in self._folders:
            if folder in self.files:
                raise self._file_or_folder(target, source, folder, include)
            self._folders[folder] = target
            folder = folder.rpartition("/")[0]

    def _conflict(self, text: str, location: Location) -> None:
        if self._strict:
            raise InputError(text, location=location, hint="rename one of the two, or leave out --on-conflict error")
        self.conflicts.append(Conflict(text, location))
        self._reporter.warning(f"{location}: {text}")

    def _location(self, include: Include | None) -> Location:
        return include.location if include else Location(self._flow_file)

    def _file_or_folder(self, target: str, source: FileSource, clash: str, include: Include | None) -> InputError:
        there = self.files[self._folders.get(clash, clash)]
        return InputError(
            f"'{shown_path(source.origin)}' cannot go to '{target}': '{shown_path(there.origin)}' uses '{clash}'",
            location=include.location if include else None,
            hint="rename one of the two; a path cannot be both a file and a folder",
        )


def _differ(one: FileSource, other: FileSource) -> bool:
    if one.origin == other.origin:
        return False
    return one.size != other.size or digest_of(one) != digest_of(other)
