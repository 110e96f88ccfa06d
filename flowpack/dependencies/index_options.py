"""The index options of a requirements file. Credentials stay in them, but only for a resolver.

The file may be untrusted, and this machine has credentials of its own. So an index is an http or https URL whose host
all tools read alike: uv reads ``name=URL`` as an index with credentials in ``UV_INDEX_NAME_PASSWORD``. Only pip's
configuration can name an index on this machine.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flowpack.dependencies.passed_variables import VARIABLE, host_of
from flowpack.dependencies.requirement_text import Option
from flowpack.errors import Location, RequirementsError, scrub

_FLAGS = {"--no-index": "no_index", "--pre": "pre", "--prefer-binary": "prefer_binary"}
_LISTS = {
    "--extra-index-url": "extra_index_urls",
    "--find-links": "find_links",
    "--no-binary": "no_binary",
    "--only-binary": "only_binary",
    "--trusted-host": "trusted_hosts",
}
_URLS = {"--index-url", "--extra-index-url"}
_HOST = re.compile(r"(?P<host>[\w.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.I)
_PACKAGES = re.compile(r"(?::all:|:none:|[A-Za-z0-9][\w.-]*)(?:,(?::all:|:none:|[A-Za-z0-9][\w.-]*))*", re.ASCII)
_VALUE_CHARACTERS = 4096
_USER_INFORMATION = re.compile(r"(?<=://)[^/\s]*@")


def public_url(url: str) -> str:
    """The URL without a user and password; pip can also take those from netrc or a keyring."""
    return _USER_INFORMATION.sub("", url)


def check_option(option: Option, location: Location) -> None:
    """Refuses a value that would mean something else in a file, a variable or an argument."""
    value = option.value
    if len(value) > _VALUE_CHARACTERS:
        message = f"{option.name} has a value of more than {_VALUE_CHARACTERS} characters"
    elif option.name in _URLS and not _is_url(value):
        message = f"{option.name} '{scrub(value)}' is not an http or https URL"
    elif option.name == "--find-links" and not is_on_this_machine(value) and not _is_url(value):
        message = f"--find-links '{scrub(value)}' is neither a folder of the flow nor an http or https URL"
    elif option.name == "--trusted-host" and not _HOST.fullmatch(value):
        message = f"--trusted-host '{scrub(value)}' is not a host"
    elif option.name in {"--no-binary", "--only-binary"} and not _PACKAGES.fullmatch(value):
        message = f"{option.name} '{scrub(value)}' is not a list of packages"
    elif "${" in value and option.name not in {*_URLS, "--find-links"}:
        message = f"{option.name} '{scrub(value)}' has a variable, but only URLs may have one"
    else:
        return
    on_this_machine = option.name in _URLS and is_on_this_machine(value)
    hint = "put an index on this machine into pip's configuration: PIP_INDEX_URL, PIP_FIND_LINKS, pip.conf"
    raise RequirementsError(message, location=location, hint=hint if on_this_machine else None)


def _is_url(value: str) -> bool:
    """A variable may be the credentials, part of the path, or the beginning of the URL up to the path."""
    if VARIABLE.match(value):
        value = VARIABLE.sub("https://x", value, count=1)
    return host_of(VARIABLE.sub("x", value)) is not None


def is_on_this_machine(url: str) -> bool:
    return "://" not in url or url.lower().startswith("file:")


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexOptions:
    """The index options of a requirements file and its nested files, with ``${NAME}`` as written.

    ``find_links`` holds only URLs. ``flow_folders`` holds folders by their names in the standalone flow folder, and
    ``folders`` the real folders behind them.
    """

    index_url: str | None = field(default=None, repr=False)
    extra_index_urls: tuple[str, ...] = field(default=(), repr=False)
    no_index: bool = False
    find_links: tuple[str, ...] = field(default=(), repr=False)
    flow_folders: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    no_binary: tuple[str, ...] = ()
    only_binary: tuple[str, ...] = ()
    pre: bool = False
    prefer_binary: bool = False

    def adding(self, option: Option) -> IndexOptions:
        """With one more option, as pip does: an index URL replaces all earlier index URLs, other options add up."""
        if option.name == "--index-url":
            return replace(self, index_url=option.value, extra_index_urls=())
        changed: dict[str, Any] = {}
        if option.name in _FLAGS:
            changed[_FLAGS[option.name]] = True
        else:
            several = _LISTS[option.name]
            changed[several] = (*getattr(self, several), option.value)
        return replace(self, **changed)

    def in_folders(self, name: str | None, folders: tuple[Path, ...]) -> IndexOptions:
        """With a folder of archives: ``name`` in the standalone flow folder, None for a folder on this machine."""
        names = (*self.flow_folders, name) if name is not None else self.flow_folders
        return replace(self, flow_folders=names, folders=(*self.folders, *folders))

    def with_urls(self, urls: Mapping[str, str]) -> IndexOptions:
        """With the URLs that are keys of ``urls`` replaced."""
        return replace(
            self,
            index_url=urls.get(self.index_url, self.index_url) if self.index_url else None,
            extra_index_urls=tuple(urls.get(url, url) for url in self.extra_index_urls),
            find_links=tuple(urls.get(url, url) for url in self.find_links),
        )

    def requirements_lines(self) -> Iterator[str]:
        """The lines that give pip all options. They may hold credentials, so they go only into a private file.

        Raises RequirementsError if a variable is left, because pip would expand it from its environment.
        """
        for line in self._lines(public=False):
            if VARIABLE.search(line):
                raise RequirementsError(
                    f"the requirements use variables that are not passed: {', '.join(VARIABLE.findall(line))}",
                    hint="add --pass-variable NAME if the servers in the requirements may see its value",
                )
            yield line
        yield from (f"--find-links {shlex.quote(folder.absolute().as_uri())}" for folder in self.folders)
        if self.pre:
            yield "--pre"
        if self.prefer_binary:
            yield "--prefer-binary"

    def lock_lines(self) -> Iterator[str]:
        """The options for installing from the lock, without credentials and without paths on this machine."""
        yield from self._lines(public=True)

    def inputs(self) -> tuple[str, ...]:
        """The lines that the lock's checksum covers."""
        lines = [*self.lock_lines(), *(f"--find-links {folder}" for folder in self.flow_folders)]
        lines += ["--pre"] * self.pre + ["--prefer-binary"] * self.prefer_binary
        return tuple(lines)

    def _lines(self, *, public: bool) -> Iterator[str]:
        def urls(option: str, values: tuple[str, ...]) -> Iterator[str]:
            for value in values:
                if public and is_on_this_machine(value):
                    continue
                yield f"{option} {shlex.quote(public_url(value)) if public else shlex.quote(value)}"

        yield from urls("--index-url", (self.index_url,) if self.index_url else ())
        yield from urls("--extra-index-url", self.extra_index_urls)
        if self.no_index and not (public and self.folders):
            yield "--no-index"
        yield from urls("--find-links", self.find_links)
        yield from (f"--trusted-host {host}" for host in self.trusted_hosts)
        yield from (f"--no-binary {packages}" for packages in self.no_binary)
        yield from (f"--only-binary {packages}" for packages in self.only_binary)
