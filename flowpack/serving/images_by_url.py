"""Bounds what an image that a request names by URL may cost: time, memory, and where the server connects to.

promptflow 1.18.5 fetches such images without a deadline and without a limit. It refuses private addresses before it
connects; the address that it then connects to may be another one, as it looks the name up a second time.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time
import zlib
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests  # type: ignore[import-untyped,unused-ignore]
from promptflow._utils.multimedia_utils import (  # type: ignore[import-not-found]
    Image,
    ImageProcessor,
    InvalidImageInput,
)
from promptflow.exceptions import ErrorTarget  # type: ignore[import-not-found]
from requests.adapters import HTTPAdapter  # type: ignore[import-untyped,unused-ignore]
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

from .promptflow_modules import find_module

_CHUNK = 64 * 1024
_REDIRECTS = 30  # as many as requests follows
_SHOWN = 200
_PLAIN, _DEFLATED = ("", "identity"), ("gzip", "x-gzip", "deflate")
_GZIP_OR_ZLIB = zlib.MAX_WBITS + 32
# Answers inside every Azure virtual network and nowhere else: Microsoft Learn, "What is IP address 168.63.129.16?".
_OF_AZURE = ipaddress.IPv4Address("168.63.129.16")


class _RefusedError(Exception):
    """Ends as promptflow's answer to bad input; its text is for the caller."""


@dataclass
class _Budget:
    """What the images of one request may still take, all of them together."""

    seconds: float
    size: int


_of_this_request: ContextVar[_Budget | None] = ContextVar("flowpack_images", default=None)


class Images:
    """Fetches images within the limits of a request."""

    def __init__(self, megabytes: int, seconds: float) -> None:
        self._megabytes = megabytes
        self._seconds = seconds

    def begin_request(self) -> None:
        _of_this_request.set(self._budget())

    def install(self) -> None:
        def create(url: str, mime_type: str | None = None) -> Any:
            try:
                return Image(self._fetch(url), mime_type=mime_type, source_url=url)
            except _RefusedError as error:
                raise InvalidImageInput(
                    message_format="Failed to fetch image from URL: {url}. {reason}",
                    url=str(url)[:_SHOWN],
                    reason=str(error),
                    target=ErrorTarget.EXECUTOR,
                ) from None

        ImageProcessor.create_image_from_url = staticmethod(create)

    def _budget(self) -> _Budget:
        return _Budget(self._seconds, self._megabytes * 1_000_000)

    def _fetch(self, url: str) -> bytes:
        budget = _of_this_request.get() or self._budget()
        begin = time.monotonic()
        download = _Download(url, budget.size)
        try:
            content = download.within(budget.seconds)
        except TimeoutError:
            raise _RefusedError(f"It did not arrive within {self._seconds:g} seconds.") from None
        except _TooLargeError:
            raise _RefusedError(f"It is larger than {self._megabytes} MB, the limit of a request's body.") from None
        finally:
            budget.seconds -= time.monotonic() - begin
        budget.size -= len(content)
        return content


class _TooLargeError(Exception):
    pass


class _Download:
    """In a thread of its own: a name server, a TLS handshake or a header may stall for as long as it likes."""

    def __init__(self, url: str, most: int) -> None:
        self._url = url
        self._most = most
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._stopped = False
        self._ended = threading.Event()
        self._content: bytes | None = None
        self._error: BaseException | None = None

    def within(self, seconds: float) -> bytes:
        if seconds > 0:
            threading.Thread(target=self._run, name="flowpack-image", daemon=True).start()
        try:
            if seconds <= 0 or not self._ended.wait(seconds):
                raise TimeoutError
        finally:
            self._stop()
        if self._error is not None:
            raise self._error
        assert self._content is not None  # noqa: S101 - there is one or an error
        return self._content

    def _stop(self) -> None:
        """What the thread still reads from ends at once."""
        with self._lock:
            self._stopped = True
            for each in self._sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()

    def _opened(self, opened: socket.socket, through_proxy: bool) -> None:
        with self._lock:
            if self._stopped:
                raise TimeoutError
            self._sockets.append(opened.dup())  # TLS takes the descriptor of the first one over
        if not through_proxy and not _is_public(str(opened.getpeername()[0])):
            raise _RefusedError("Its address is not a public one.")

    def _run(self) -> None:
        try:
            self._content = self._follow()
        except (_RefusedError, _TooLargeError, TimeoutError) as error:
            self._error = error
        except Exception as error:  # whatever requests, urllib3 and the URL's own form raise
            self._error = _refusal_within(error) or _RefusedError(f"It cannot be fetched ({type(error).__name__}).")
        finally:
            self._ended.set()

    def _follow(self) -> bytes:
        keep_cookies: Any = requests.cookies.extract_cookies_to_jar
        session: Any = requests.Session()
        with session:
            _watch(session, self._opened)
            url = self._url
            for _ in range(_REDIRECTS + 1):
                _check(url)
                wanted = session.prepare_request(requests.Request("GET", url, {"Accept-Encoding": "identity"}))
                options = session.merge_environment_settings(wanted.url, {}, True, None, None)
                # Session.get would read the whole body of a redirect.
                with session.get_adapter(wanted.url).send(wanted, **options) as answer:
                    keep_cookies(session.cookies, wanted, answer.raw)
                    target = session.get_redirect_target(answer)
                    if target is None:
                        return self._content_of(answer)
                    url = urljoin(answer.url, target)
        raise _RefusedError(f"It is redirected more than {_REDIRECTS} times.")

    def _content_of(self, answer: Any) -> bytes:
        if answer.status_code != 200:
            reason = str(answer.reason or "")[:_SHOWN]
            raise _RefusedError(f"Error code: {answer.status_code}. Error message: {reason}.")
        encoding = answer.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in (*_PLAIN, *_DEFLATED):
            raise _RefusedError("Its server compresses it, although it is asked not to.")
        length = answer.headers.get("Content-Length", "")
        if length.isdecimal() and (len(length) > 18 or int(length) > self._most):
            raise _TooLargeError
        answer.raw.chunked = False  # http.client takes chunks apart then, within limits for their headers
        parts, size = [], 0
        while part := answer.raw.read(_CHUNK, decode_content=False):
            parts.append(part)
            size += len(part)
            if size > self._most:
                raise _TooLargeError
        content = b"".join(parts)
        return content if encoding in _PLAIN else self._decompressed(content)

    def _decompressed(self, content: bytes) -> bytes:
        """Some stores send a file as it was stored, whatever encoding a request accepts."""
        plain = zlib.decompressobj(_GZIP_OR_ZLIB).decompress(content, self._most + 1)
        if len(plain) > self._most:
            raise _TooLargeError
        return plain


def _is_public(address: str) -> bool:
    """By promptflow's own policy, which denies private, link-local and reserved addresses. 1.18.1 has none."""
    module = find_module("promptflow._utils.anti_ssrf")
    if module is not None:
        return bool(_policy(module).is_network_connection_allowed([address]))
    parsed = ipaddress.ip_address(address.partition("%")[0])
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return parsed.is_global and not parsed.is_multicast and parsed != _OF_AZURE


def _policy(module: Any) -> Any:
    policy = module.AntiSSRF().policy
    policy.set_allow_plain_text_http(True)
    return policy


def _check(url: str) -> None:
    if urlsplit(url).scheme.lower() not in ("http", "https"):
        raise _RefusedError("It is not an http or https URL.")
    module = find_module("promptflow._utils.anti_ssrf")
    if module is None:  # the address is seen when a connection is made, and a proxy's is not the image's
        return
    try:
        module.AntiSSRF(_policy(module)).validate_url(url, {})
    except module.AntiSSRFException:
        raise _RefusedError("Its address is not a public one, or is not known.") from None


def _watch(session: Any, opened: Any) -> None:
    """Tells of each connection as soon as it is made, before a request goes out on it."""

    def told(connection: Any, sock: Any) -> Any:
        try:
            opened(sock, getattr(connection, "proxy", None) is not None)
        except BaseException:
            sock.close()
            raise
        return sock

    def watched(pool: Any) -> Any:
        plain = pool.ConnectionCls
        new = {"_new_conn": lambda connection: told(connection, plain._new_conn(connection))}
        return type("Pool", (pool,), {"ConnectionCls": type("Connection", (plain,), new)})

    pools = {"http": watched(HTTPConnectionPool), "https": watched(HTTPSConnectionPool)}

    class Adapter(HTTPAdapter):  # type: ignore[misc,unused-ignore]
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, **options)
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
            manager = super().proxy_manager_for(proxy, **options)
            if not proxy.lower().startswith("socks"):  # which has connections of its own kind
                manager.pool_classes_by_scheme = pools
            return manager

    for scheme in ("http://", "https://"):
        session.mount(scheme, Adapter())


def _refusal_within(error: BaseException) -> _RefusedError | None:
    """urllib3 wraps what its connections raise."""
    seen: BaseException | None = error
    for _ in range(8):
        if isinstance(seen, _RefusedError) or seen is None:
            return seen
        seen = seen.__cause__ or seen.__context__
    return None
