"""Answers to requests that are refused before promptflow sees them, in the shape of promptflow's own errors."""

from __future__ import annotations

import http
import json


class Refused(Exception):  # noqa: N818 - named for what happens to the request
    """A request that is the client's to mend; ``status`` is always a 4xx."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    @property
    def body(self) -> bytes:
        return error_body("UserError", self.message)

    def answer(self) -> bytes:
        return error_answer(self.status, "UserError", self.message)


def error_body(code: str, message: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": message}}, separators=(",", ":")).encode()


def error_answer(status: int, code: str, message: str) -> bytes:
    """The whole HTTP answer; the connection ends with it, since where a next request begins is not known."""
    body = error_body(code, message)
    head = (
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


def too_large(most: int) -> Refused:
    megabytes = most // 1_000_000
    return Refused(413, f"The request's body is larger than {megabytes} MB, the limit that FLOWPACK_MAX_BODY_MB sets.")


def header_too_slow(seconds: float) -> Refused:
    return Refused(408, f"The request's header did not arrive within {seconds:g} seconds.")


def body_too_slow(seconds: float) -> Refused:
    return Refused(408, f"The request's body did not arrive within {seconds:g} seconds.")
