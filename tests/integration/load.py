"""Clients that ask a chat flow until they are refused, and count what became of each request."""

from __future__ import annotations

import http.client
import json
from collections import Counter


class Load:
    """Refused is who could not connect; lost, who connected and got no whole answer."""

    def __init__(self, url: str) -> None:
        self._host = url.removeprefix("http://")
        self.answered: Counter[str] = Counter()
        self.refused = 0
        self.lost: list[str] = []

    def until_refused(self, question: str) -> None:
        while self.ask(question):
            pass
        self.refused += 1

    def ask(self, question: str) -> bool:
        connection = http.client.HTTPConnection(self._host, timeout=60)
        try:
            connection.connect()
        except OSError:
            return False
        try:
            body = json.dumps({"question": question, "chat_history": []})
            connection.request("POST", "/score", body, {"content-type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            assert (response.status, answer.get("source")) == (200, "membership"), answer
            self.answered[question] += 1
        except Exception as error:
            self.lost.append(repr(error))
        finally:
            connection.close()
        return True
