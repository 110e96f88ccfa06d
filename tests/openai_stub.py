"""An OpenAI-compatible server for tests: answers with the last user message, and keeps every request.

    with OpenAIStub(key="test-key") as stub:
        ...  # an Azure OpenAI connection with api_base=stub.url, or an OpenAI one with base_url=stub.url + "/v1"
        assert stub.requests[0].key == "test-key"

By hand: ``python -m tests.openai_stub --port 8899``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_PATH = re.compile(
    r"^(?:/openai/deployments/(?P<deployment>[^/]+)|/openai/v1|/v1)/(?P<api>chat/completions|completions|embeddings)$"
)
_PREFIX = "echo: "


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def key(self) -> str:
        """The credential that arrived: Azure's ``api-key``, or OpenAI's bearer token."""
        return self.headers.get("api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass
class OpenAIStub:
    """``key`` is the only credential let in, None lets all in; ``delay`` is waited before an answer and between the
    pieces of a streamed one; ``hold`` keeps a streamed answer's last words back until it is set. ``host="0.0.0.0"``
    lets containers reach it under ``container_url``."""

    host: str = "127.0.0.1"
    port: int = 0
    key: str | None = None
    delay: float = 0.0
    hold: threading.Event | None = None
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> OpenAIStub:
        self._server = ThreadingHTTPServer((self.host, self.port), _handler(self))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def container_url(self) -> str:
        return f"http://host.docker.internal:{self.port}"


def answer_to(body: dict[str, Any]) -> str:
    """What the stub says to a request: checkable, and different for each question."""
    if "messages" not in body:
        prompt = body.get("prompt", "")
        return _PREFIX + (prompt if isinstance(prompt, str) else prompt[0])
    said = [message["content"] for message in body["messages"] if message["role"] == "user"]
    last = said[-1] if said else ""
    if isinstance(last, list):
        last = " ".join(part.get("text", f"<{part['type']}>") for part in last)
    return _PREFIX + last.strip()


def _pieces(text: str) -> list[str]:
    return re.findall(r"\S+\s*", text)


def _chat(body: dict[str, Any], text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return _envelope(body, "chat.completion", [{"index": 0, "message": message, "finish_reason": "stop"}])


def _completion(body: dict[str, Any], text: str) -> dict[str, Any]:
    return _envelope(body, "text_completion", [{"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}])


def _envelope(body: dict[str, Any], kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    head = {"id": "stub-1", "object": kind, "created": 1700000000, "model": body.get("model", "stub")}
    return {**head, "choices": choices, "usage": usage}


def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    vectors = [[byte / 255 for byte in hashlib.sha256(str(each).encode()).digest()[:8]] for each in inputs]
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    usage = {"prompt_tokens": len(inputs), "total_tokens": len(inputs)}
    return {"object": "list", "model": body.get("model", "stub"), "data": data, "usage": usage}


def _events(body: dict[str, Any], api: str) -> Iterator[dict[str, Any]]:
    for piece in _pieces(answer_to(body)):
        if api == "completions":
            choice: dict[str, Any] = {"index": 0, "text": piece, "finish_reason": None}
        else:
            choice = {"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": None}
        yield _chunk(body, api, choice)
    yield _chunk(body, api, {"index": 0, "text": "", "delta": {}, "finish_reason": "stop"})


def _chunk(body: dict[str, Any], api: str, choice: dict[str, Any]) -> dict[str, Any]:
    kind = "text_completion" if api == "completions" else "chat.completion.chunk"
    return {
        "id": "stub-1",
        "object": kind,
        "created": 1700000000,
        "model": body.get("model", "stub"),
        "choices": [choice],
    }


def _handler(stub: OpenAIStub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # with a client's delayed acknowledgements it costs 40 ms a request

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
            path = self.path.partition("?")[0]
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.path, headers, body)
            stub.requests.append(request)
            match = _PATH.match(path)
            if match is None:
                self._json(404, {"error": {"code": "404", "message": f"the stub does not know {path}"}})
            elif stub.key is not None and request.key != stub.key:
                self._json(401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key"}})
            elif body.get("stream"):
                self._stream(body, match["api"])
            else:
                time.sleep(stub.delay)
                self._json(200, self._answer(body, match["api"]))

        def _answer(self, body: dict[str, Any], api: str) -> dict[str, Any]:
            if api == "embeddings":
                return _embeddings(body)
            return (_completion if api == "completions" else _chat)(body, answer_to(body))

        def _json(self, status: int, content: dict[str, Any]) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, body: dict[str, Any], api: str) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            self.close_connection = True
            events = list(_events(body, api))
            for number, event in enumerate(events):
                time.sleep(stub.delay)
                if stub.hold is not None and number == len(events) - 2:
                    stub.hold.wait(60)
                self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
                self.wfile.flush()
            self.wfile.write(b"data: [DONE]\n\n")

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8899)
    parser.add_argument("--key")
    parser.add_argument("--delay", type=float, default=0.0)
    options = parser.parse_args()
    with OpenAIStub(**vars(options)) as stub:
        print(f"listening on {options.host}:{stub.port}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
