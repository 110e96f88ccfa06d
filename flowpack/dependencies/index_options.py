"""Where packages come from, as a requirements file says it; credentials stay in, for a resolver alone.

A stranger may have written it, and this machine has credentials of its own. So an index is an http or https URL whose
host everybody reads alike: uv takes ``name=URL`` for an index with credentials in ``UV_INDEX_NAME_PASSWORD``, and what
lies on this machine is for pip's configuration to say.
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
    """The URL without a user or a password; pip takes those from netrc or a keyring as well."""
    return _USER_INFORMATION.sub("", url)


def check_option(option: Option, location: Location) -> None:
    """Refuses a value that would not be what it is called once it is in a file, a variable or an argument."""
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
        message = f"{option.name} '{scrub(value)}' has a variable, and only URLs may have one"
    else:
        return
    on_this_machine = option.name in _URLS and is_on_this_machine(value)
    hint = "an index on this machine belongs in pip's configuration: PIP_INDEX_URL, PIP_FIND_LINKS, pip.conf"
    raise RequirementsError(message, location=location, hint=hint if on_this_machine else None)


def _is_url(value: str) -> bool:
    """A variable may stand for credentials, for a part of the path, or for the beginning up to there."""
    if VARIABLE.match(value):
        value = VARIABLE.sub("https://x", value, count=1)
    return host_of(VARIABLE.sub("x", value)) is not None


def is_on_this_machine(url: str) -> bool:
    return "://" not in url or url.lower().startswith("file:")


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexOptions:
    """The index options of a requirements file and its nested files, with ``${NAME}`` as it is written.

    ``find_links`` holds URLs; folders of the flow, as the standalone flow folder names them, and the real folders
    behind them are apart.
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
        """With one more option, in pip's way: an index URL puts all that came before it away, the others add up."""
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
        """With a folder of archives: ``name`` in the standalone flow folder, None for a folder of this machine."""
        names = (*self.flow_folders, name) if name is not None else self.flow_folders
        return replace(self, flow_folders=names, folders=(*self.folders, *folders))

    def with_urls(self, urls: Mapping[str, str]) -> IndexOptions:
        """With other URLs in place of those as written."""
        return replace(
            self,
            index_url=urls.get(self.index_url, self.index_url) if self.index_url else None,
            extra_index_urls=tuple(urls.get(url, url) for url in self.extra_index_urls),
            find_links=tuple(urls.get(url, url) for url in self.find_links),
        )

    def requirements_lines(self) -> Iterator[str]:
        """The lines of a requirements file that say all of it to pip: for a private file only.

        pip puts any variable of its environment in, so that one that is left here goes no further.
        """
        for line in self._lines(public=False):
            if VARIABLE.search(line):
                raise RequirementsError(
                    f"the requirements ask for variables that are not passed: {', '.join(VARIABLE.findall(line))}",
                    hint="add --pass-variable NAME if the servers that the requirements name may know its value",
                )
            yield line
        yield from (f"--find-links {shlex.quote(folder.absolute().as_uri())}" for folder in self.folders)
        if self.pre:
            yield "--pre"
        if self.prefer_binary:
            yield "--prefer-binary"

    def lock_lines(self) -> Iterator[str]:
        """What an installation from the lock needs, without credentials and without paths of this machine."""
        yield from self._lines(public=True)

    def inputs(self) -> tuple[str, ...]:
        """What the lock's checksum covers."""
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
