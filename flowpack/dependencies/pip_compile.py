"""pip-compile as flowpack runs it: a program of its own, started with the interpreter that has pip-tools.

Two things are added to pip-tools. It downloads every archive of a release to hash it, unless the index is PyPI with its
JSON answers; the hash that the index states beside each archive is as good, and a private index has nothing else. And
pip passes over an index that refuses it as if that had no packages; the refusal is told here.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

REFUSED = "flowpack: an index did not answer: "


class Refusals(logging.Handler):
    """Collects what pip says of an index that it passes over; a package that an index does not have is no refusal."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message.startswith("Could not fetch URL") and " 404 Client Error" not in message:
            self.messages.append(message)


def take_stated_hashes(repository: Any) -> None:
    """Makes pip-tools take the hashes that the index states, and ask for the others in its own way."""
    ask_pypi = repository._get_hashes_from_pypi

    def stated_hashes(self: Any, requirement: Any) -> dict[str, str]:
        links = {candidate.link for candidate in self._get_matching_candidates(requirement)}
        stated = {link.url: f"sha256:{link.hash}" for link in links if link.hash_name == "sha256"}
        return stated if len(stated) == len(links) else {**ask_pypi(self, requirement), **stated}

    repository._get_hashes_from_pypi = stated_hashes


def main(arguments: list[str]) -> int:
    from pip._internal.exceptions import PipError  # noqa: PLC0415
    from pip._vendor.requests.exceptions import RequestException  # noqa: PLC0415
    from pip._vendor.urllib3.exceptions import HTTPError  # noqa: PLC0415
    from piptools.exceptions import PipToolsError  # noqa: PLC0415
    from piptools.repositories import PyPIRepository  # noqa: PLC0415
    from piptools.scripts.compile import cli  # noqa: PLC0415

    if hasattr(PyPIRepository, "_get_hashes_from_pypi") and hasattr(PyPIRepository, "_get_matching_candidates"):
        take_stated_hashes(PyPIRepository)
    refusals = Refusals()
    collector = logging.getLogger("pip._internal.index.collector")
    collector.setLevel(logging.DEBUG)
    collector.addHandler(refusals)
    status = 0
    try:
        cli.main(args=arguments, prog_name="pip-compile", standalone_mode=False)
    except (PipError, PipToolsError) as error:
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
    sys.path.pop(0)  # this folder, whose modules are not for pip-tools to find
    sys.exit(main(sys.argv[1:]))
