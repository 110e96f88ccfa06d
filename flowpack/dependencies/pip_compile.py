"""pip-compile as flowpack runs it: a separate program, started with the interpreter that has pip-tools.

It adds three things to pip-tools. It refuses a package without a wheel by name, before any of its files runs. It uses
the hashes that an index states for its archives: unless the index is PyPI with its JSON API, pip-tools downloads every
archive of a release to hash it, and the stated hash is as good and all that a private index has. And it reports an
index that refuses access, which pip skips as if it had no packages.
"""

from __future__ import annotations

import copy
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from pip._internal.distributions.sdist import SourceDistribution
from pip._internal.exceptions import InstallationError, PipError
from pip._internal.models.format_control import FormatControl
from pip._vendor.packaging.requirements import InvalidRequirement, Requirement
from pip._vendor.packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename
from pip._vendor.requests.exceptions import RequestException
from pip._vendor.urllib3.exceptions import HTTPError
from piptools.exceptions import PipToolsError
from piptools.repositories import PyPIRepository
from piptools.scripts.compile import cli

REFUSED = "flowpack: an index did not answer: "
NO_WHEEL = "flowpack: there is no wheel of "

_SKIPPED_SOURCE = re.compile(r"Skipping link: No sources permitted for .*?: (\S+)")
_NOT_FOUND = re.compile(r"No matching distribution found for (.+?)(?: \(from |$)", re.M)


class Refusals(logging.Handler):
    """Collects pip's messages about an index that it skips. A package that an index does not have is not a refusal."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message.startswith("Could not fetch URL") and " 404 Client Error" not in message:
            self.messages.append(message)


class SkippedSources(logging.Handler):
    """Collects the source distributions that pip skips, because only wheels are allowed."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.names: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        found = _SKIPPED_SOURCE.match(record.getMessage())
        if found:
            self.names.append(found[1].partition("#")[0].rstrip("/").rpartition("/")[2])

    def blamed_in(self, words: str) -> Iterator[str]:
        """The packages that pip did not find, but would have found as source distributions."""

        for text in _NOT_FOUND.findall(words):
            try:
                wanted = Requirement(text)
            except InvalidRequirement:
                continue
            for file in self.names:
                try:
                    name, version = parse_sdist_filename(unquote(file))
                except (InvalidSdistFilename, ValueError):
                    continue
                if name == canonicalize_name(wanted.name) and wanted.specifier.contains(version, prereleases=True):
                    yield wanted.name
                    break


def refuse_to_build() -> None:
    """Keeps pip from starting a setup.py, also for a requirement with a URL and for a package's metadata."""

    def refuse(self: Any, *_: Any, **__: Any) -> None:
        raise InstallationError(NO_WHEEL + (self.req.name or str(self.req)))

    if not hasattr(SourceDistribution, "prepare_distribution_metadata"):
        sys.exit("flowpack cannot keep this release of pip from building source distributions")
    SourceDistribution.prepare_distribution_metadata = refuse  # type: ignore[method-assign]


def take_stated_hashes(repository: Any) -> None:
    """Makes pip-tools use the hashes that the index states, and get the others in its own way."""
    ask_pypi = repository._get_hashes_from_pypi

    def stated_hashes(self: Any, requirement: Any) -> dict[str, str]:
        links = {candidate.link for candidate in self._get_matching_candidates(requirement)}
        stated = {link.url: f"sha256:{link.hash}" for link in links if link.hash_name == "sha256"}
        return stated if len(stated) == len(links) else {**ask_pypi(self, requirement), **stated}

    repository._get_hashes_from_pypi = stated_hashes


def hash_every_file(repository: Any) -> None:
    """Hashes source distributions too, as uv does in its locks, although only wheels are chosen and installed."""

    matching = repository._get_matching_candidates  # used only for hashes

    def every_file(self: Any, requirement: Any) -> set[Any]:
        versions = {candidate.version for candidate in matching(self, requirement)}
        finder = copy.copy(self.finder)
        finder.format_control = FormatControl()
        if hasattr(finder, "_all_candidates"):  # newer releases of pip cache results there
            finder._all_candidates = {}
        find = type(finder).find_all_candidates
        found = getattr(find, "__wrapped__", find)(finder, requirement.name)
        return {candidate for candidate in found if candidate.version in versions}

    repository._get_matching_candidates = every_file


def main(arguments: list[str]) -> int:
    if hasattr(PyPIRepository, "_get_hashes_from_pypi") and hasattr(PyPIRepository, "_get_matching_candidates"):
        hash_every_file(PyPIRepository)
        take_stated_hashes(PyPIRepository)
    refuse_to_build()
    skipped = SkippedSources()
    finder = logging.getLogger("pip._internal.index.package_finder")
    finder.setLevel(logging.DEBUG)
    finder.addHandler(skipped)
    refusals = Refusals()
    collector = logging.getLogger("pip._internal.index.collector")
    collector.setLevel(logging.DEBUG)
    collector.addHandler(refusals)
    status = 0
    try:
        cli.main(args=arguments, prog_name="pip-compile", standalone_mode=False)
    except (PipError, PipToolsError) as error:
        for name in dict.fromkeys(skipped.blamed_in(str(error))):
            print(NO_WHEEL + name, file=sys.stderr)
        print(f"ERROR: {error}", file=sys.stderr)
        status = 1
    except (RequestException, HTTPError) as error:
        print(REFUSED + str(error), file=sys.stderr)
        status = 1
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    if status:
        for message in refusals.messages:
            print(REFUSED + message, file=sys.stderr)
    return status


if __name__ == "__main__":
    if not sys.flags.isolated:
        sys.path.pop(0)  # this folder: pip-tools must not find its modules
    sys.exit(main(sys.argv[1:]))
