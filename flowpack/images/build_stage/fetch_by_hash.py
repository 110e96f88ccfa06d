"""Fetches wheels by the hashes of a lock: ``fetch_by_hash.py LOCK FOLDER``, by a Python that has pip.

The lock says which bytes are wanted, so nothing has to be resolved: the page of a package names the hashes of its
files. Configuration, credentials, proxies and certificates are pip's, as its own session has them. That session is not
a public interface, and not every index names hashes, so whoever calls this checks what is in the folder and leaves the
rest to pip.

Written for Python 3.9: it runs in the image's base.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from pip._internal.commands import create_command
from pip._internal.models.link import Link
from pip._internal.req import parse_requirements
from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.tags import parse_tag, sys_tags

_AT_ONCE = 8  # pip's session keeps up to ten connections to a host
_FAILURES = 3  # with an index that does not answer, each package would wait for the timeout
_CHUNK = 256 * 1024
_JSON = "application/vnd.pypi.simple.v1+json"
_PAGE = {
    "Accept": f"{_JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1",
    "Cache-Control": "max-age=0",
}
_ARCHIVE = {"Accept-Encoding": "identity"}
_OPTIONS = ("--no-input", "--disable-pip-version-check", "--no-cache-dir")


def main(lock: str, folder: str) -> int:
    session, indexes, wanted = _as_pip_reads(lock)
    ranks = _own_tags()
    failures: list[str] = []

    def fetch(requirement: str, hashes: frozenset[str]) -> None:
        if len(failures) >= _FAILURES:
            return
        try:
            if url := _find(session, indexes, ranks, requirement, hashes):
                _store(session, url, hashes, Path(folder))
        except Exception as error:  # what is not fetched here, pip fetches, or says why it cannot
            failures.append(type(error).__name__)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda each: fetch(*each), wanted))
    return 0


def files_of_page(content_type: str, page: bytes, url: str, hashes: Container[str]) -> Iterator[str]:
    """The URLs of the files that an index page (PEP 691 or PEP 503) names with one of these hashes."""
    if content_type.partition(";")[0].strip().lower() == _JSON:
        for file in json.loads(page)["files"]:
            if file["hashes"].get("sha256", "").lower() in hashes:
                yield urljoin(url, file["url"])
        return
    links = _Links()
    links.feed(page.decode("utf-8", "replace"))
    for link in links.found:
        if link.rpartition("#sha256=")[2][:64].lower() in hashes:
            yield urldefrag(urljoin(urljoin(url, links.base), link))[0]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get("href")
        if target and tag == "a":
            self.found.append(target)
        elif target and tag == "base" and not self.base:
            self.base = target


def _as_pip_reads(lock: str) -> tuple[Any, Any, list[tuple[str, frozenset[str]]]]:
    """A session, the indexes and the entries of the lock, as `pip install -r LOCK` would have them."""
    command: Any = create_command("install")
    options, _ = command.parse_args([*_OPTIONS, "-r", lock])
    session = command._build_session(options, retries=min(options.retries, 1))  # pip tries again in any case
    finder = command._build_package_finder(options=options, session=session)
    entries: list[Any] = list(parse_requirements(lock, session=session, finder=finder, options=options))
    wanted = [(each.requirement, frozenset(each.options["hashes"]["sha256"])) for each in entries]
    return session, finder.search_scope, wanted


def _find(session: Any, indexes: Any, ranks: dict[Any, int], requirement: str, hashes: frozenset[str]) -> str | None:
    """The URL of a wheel: of the first index that has any, the one that suits this Python best."""
    parsed = Requirement(requirement)
    if parsed.url is not None or parsed.marker is not None:
        return parsed.url if parsed.marker is None else None
    for location in indexes.get_index_urls_locations(parsed.name):
        if urlsplit(location).scheme not in ("http", "https") or not session.is_secure_origin(Link(location)):
            return None
        answer = session.get(location, headers=_PAGE)
        if answer.status_code == 404:
            continue
        if answer.status_code != 200:
            return None
        urls = files_of_page(answer.headers.get("Content-Type", ""), answer.content, answer.url, hashes)
        if best := min(((rank, url) for url in urls if (rank := _rank(_name(url), ranks)) is not None), default=None):
            return best[1]
    return None


def _rank(name: str, ranks: dict[Any, int]) -> int | None:
    """The smaller, the better the wheel suits this Python; None for what is not a wheel or does not suit."""
    if not name.endswith(".whl") or name.count("-") < 4:
        return None
    tags = parse_tag("-".join(name[: -len(".whl")].split("-")[-3:]))
    return min((ranks[tag] for tag in tags if tag in ranks), default=None)


def _store(session: Any, url: str, hashes: frozenset[str], folder: Path) -> None:
    name = _name(url)
    if not name.endswith(".whl"):
        return
    summed = hashlib.sha256()
    unfinished = folder / f"{name}.part"
    with session.get(url, headers=_ARCHIVE, stream=True) as answer:
        answer.raise_for_status()
        with unfinished.open("xb") as file:
            for part in answer.iter_content(_CHUNK):
                summed.update(part)
                file.write(part)
    if summed.hexdigest() in hashes:
        unfinished.rename(folder / name)


def _name(url: str) -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2]


def _own_tags() -> dict[Any, int]:
    return {tag: rank for rank, tag in enumerate(sys_tags())}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
