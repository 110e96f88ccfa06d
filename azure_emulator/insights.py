"""Application Insights, as far as it takes what is sent to it."""

from __future__ import annotations

import gzip
import json
from typing import Any

from azure_emulator.messages import Answer, Request

PATH = "/track"


class Insights:
    def __init__(self) -> None:
        self.telemetry: list[dict[str, Any]] = []

    def site(self, request: Request) -> Answer:
        packed = request.headers.get("content-encoding") == "gzip"
        items = json.loads(gzip.decompress(request.body) if packed else request.body)
        self.telemetry += items
        return Answer.of({"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []})
