"""Requests and answers as plain values, and refusals in the shapes that Azure gives them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    host: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in lower case."""
    body: bytes = field(default=b"", repr=False)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def url(self) -> str:
        return f"https://{self.host}{self.target}"


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})


class Refusal(Exception):
    """Azure Resource Manager's own: ``{"error": {"code", "message"}}``, and ``details`` where there are any."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(message)
        self.answer = Answer.of({"error": {"code": code, "message": message, **more}}, status, headers)


def service_refusal(status: int, code: str, message: str, *details: tuple[str, str]) -> Refusal:
    """The service behind a workspace's resources: it says as well where and when it was."""
    told = {
        "ComponentName": "managementfrontend",
        "Correlation": {"operation": "0" * 31 + "1", "request": "0" * 15 + "1"},
        "Environment": "westeurope",
        "Location": "westeurope",
        "Time": datetime.now(timezone.utc).isoformat(),
    }
    return Refusal(
        status,
        code,
        message,
        details=[{"code": kind, "message": text, "details": [], "additionalInfo": []} for kind, text in details],
        additionalInfo=[{"type": kind, "info": {"value": value}} for kind, value in told.items()],
    )


def invalid(field: str, problem: str, *, doing: str = "CreateDeployment") -> Refusal:
    """What the service for endpoints refuses, as the one in front of it hands it on: JSON inside a message."""
    told = {
        "errors": {field: [problem]},
        "type": "https://tools.ietf.org/html/rfc7231#section-6.5.1",
        "title": "One or more validation errors occurred.",
        "status": 400,
        "traceId": f"00-{'0' * 31}1-{'0' * 15}1-01",
    }
    text = f"InferencingClient HttpRequest error, error detail: {json.dumps(told)}"
    return service_refusal(400, "BadRequest", "The request is invalid.", (f"InferencingClient{doing}Failed", text))


def user_error(message: str, *details: tuple[str, str], status: int = 400) -> Refusal:
    return service_refusal(status, "UserError", message, *details)


def storage_refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    text = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Answer(
        status, text.encode(), {"Content-Type": "application/xml", "x-ms-error-code": code, **(headers or {})}
    )


def entra_refusal(status: int, error: str, number: int, description: str) -> Answer:
    text = f"AADSTS{number}: {description}"
    return Answer.of({"error": error, "error_description": text, "error_codes": [number]}, status)
