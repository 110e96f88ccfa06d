"""Malformed requests to ``/score`` of both engines, served from a lock in an environment of its own."""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from flowpack.errors import FlowpackError
from flowpack.running.health import wait_for_health
from flowpack.running.processes import free_port
from tests.hostile.shapes import all_shapes
from tests.paths import FLOWS, ROOT
from tests.serving.conftest import Environments, Launched

if TYPE_CHECKING:
    from tests.hostile.fuzz import Findings

ENGINES = ("flask", "fastapi")
LONGEST = 1.0
"""Seconds until an answer to at most 256 KB: of the server's processor where the system tells it, else on the clock."""
_LONGEST_OF_THE_FLOW = 10.0
"""What the flow itself worked out, with 200: its code may take its time."""
_OF_PROMPTFLOW = re.compile(r"Promptflow serving error traceback:.*?(?=^\[20|\Z)", re.DOTALL | re.MULTILINE)
_REFUSAL = re.compile(r"^promptflow\.[\w.]*(?:BadRequest|UserError|Input)\w*(?::|$)", re.MULTILINE)
"""How the traceback ends that promptflow itself logs of a request that it refuses."""
"""promptflow logs what it answers with an error of its own; without such an answer it is a server's failure."""
_METHODS = ("POST", "POST", "POST", "GET", "PUT", "OPTIONS", "post", "\x00", "POST " * 5)
_TYPES = (
    "application/json",
    "text/plain",
    "application/json; charset=utf-16",
    "multipart/form-data; boundary=a",
    "",
    "\xff",
)
_PATHS = ("/score", "/score", "/score?a=" + "b" * 9000, "/score/%ff", "//score")
_SHAPES = tuple(all_shapes())


def with_requests(findings: Findings, seconds: int, number: int) -> None:
    """``seconds`` are shared by the engines; setting the environment up is not counted."""
    chance = random.Random(number)
    with tempfile.TemporaryDirectory(prefix="fuzz-server-") as name:
        folder = Path(name)
        os.environ.setdefault("FLOWPACK_CACHE_DIR", str(ROOT / ".cache" / "fuzz"))
        try:
            python = Environments(folder, ROOT / ".cache" / "fuzz")["core"]
        except (FlowpackError, subprocess.CalledProcessError) as error:
            print(f"fuzz: no environment for /score can be made: {error}")
            return
        for engine in ENGINES:
            _one_engine(findings, engine, python, folder, time.monotonic() + seconds / len(ENGINES), chance)


def _one_engine(
    findings: Findings, engine: str, python: Path, folder: Path, until: float, chance: random.Random
) -> None:
    port, log = free_port(), folder / f"{engine}.log"
    own = {
        "PROMPTFLOW_PROJECT_PATH": str(FLOWS / "python-only"),
        "FLOWPACK_CONNECTIONS": str(folder / "no-connections"),
        "FLOWPACK_HOST": "127.0.0.1",
        "FLOWPACK_PORT": str(port),
        "PROMPTFLOW_SERVING_ENGINE": engine,
        "PROMPTFLOW_WORKER_NUM": "1",
    }
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(python), "-m", "flowpack_serving"],
            env={**kept, **own},
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    launched = Launched(process, port, log)
    sent = 0
    try:
        wait_for_health(launched.url, alive=lambda: process.poll() is None, timeout=120, logs=lambda: launched.said)
        until = max(until, time.monotonic() + 5)
        while time.monotonic() < until:
            request = _request(chance)
            before = log.stat().st_size
            began, used = time.monotonic(), _processor_seconds(process.pid)
            answer = _answer(port, request)
            taken, used_since = time.monotonic() - began, _processor_seconds(process.pid)
            if used is not None and used_since is not None and taken < _LONGEST_OF_THE_FLOW:
                taken = used_since - used
            said = _settled(log)[before:].decode(errors="replace")
            problem = _problem(answer, said, taken)
            sent += 1
            if problem:
                findings.add(f"/score with {engine}", request, problem, "send the bytes of {path} to /score")
            if process.poll() is not None:
                findings.add(f"/score with {engine}", request, "the server ended", "send the bytes of {path} to /score")
                return
    finally:
        process.terminate()
        process.wait(60)
        print(f"fuzz: {sent} requests to {engine}", flush=True)


def _request(chance: random.Random) -> bytes:
    body = _body(chance)
    length = chance.choice([str(len(body))] * 6 + ["-1", "x", "99999999", str(len(body) // 2), ""])
    lines = [
        f"{chance.choice(_METHODS)} {chance.choice(_PATHS)} HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {chance.choice(_TYPES)}",
        "Connection: close",
    ]
    if chance.random() < 0.1:
        lines.append("Transfer-Encoding: chunked")
    elif length:
        lines.append(f"Content-Length: {length}")
    lines += [
        f"X-{chance.randrange(99)}: {chance.choice(_SHAPES).text(60)!r}" for _ in range(chance.choice([0, 0, 1, 150]))
    ]
    lines += [
        "traceparent: " + chance.choice(_SHAPES).text(60).replace("\n", "") for _ in range(chance.choice([0, 0, 1]))
    ]
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body


def _body(chance: random.Random) -> bytes:
    text = chance.choice(_SHAPES).text(chance.choice([20, 200, 65536, 262144]))
    kind = chance.randrange(6)
    if kind == 0:
        return text.encode("utf-8", "surrogatepass")
    if kind == 1:
        return b"[" * chance.choice([10, 1000, 200_000])
    if kind == 2:
        return json.dumps({"text": text}, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    if kind == 3:
        return b'{"text": ' + b"9" * chance.choice([10, 5000, 200_000]) + b"}"
    values = [None, 1, [], {}, "", "\ud800", {"text": None}, {"text": {"text": []}}, {"": 1}, {"text": "a", "b": text}]
    return json.dumps(chance.choice(values)).encode()


def _answer(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        answer = b""
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                answer += part
        except OSError:
            pass  # a server may hang up on such a request
    return answer


def _problem(answer: bytes, said: str, taken: float) -> str | None:
    status = _status(answer)
    if status >= 400 and _has_promptflows_shape(answer):
        said = _OF_PROMPTFLOW.sub("", said)
    elif status == 0:  # this client had hung up before the refusal came
        said = _OF_PROMPTFLOW.sub(lambda block: "" if _REFUSAL.search(block[0]) else block[0], said)
    if "Traceback (most recent call last)" in said:
        return said[-3000:]
    if taken > (_LONGEST_OF_THE_FLOW if status == 200 else LONGEST):
        return f"{taken:.1f} s until the answer {status or 'that never came'}"
    if status >= 500 and not _has_promptflows_shape(answer):
        return f"{status}, and not in promptflow's own shape"
    return None


def _settled(log: Path) -> bytes:
    """A server may log after it has answered, and one request's traceback is not the next one's."""
    content = log.read_bytes()
    for _ in range(50):
        time.sleep(0.02)
        before, content = content, log.read_bytes()
        if content == before:
            break
    return content


def _status(answer: bytes) -> int:
    """0 where the server hung up without one."""
    found = re.match(rb"HTTP/1\.[01] ([0-9]{3})", answer)
    return int(found[1]) if found else 0


def _has_promptflows_shape(answer: bytes) -> bool:
    """``{"error": {"code": ..., "message": ...}}``, and nothing beside it."""
    try:
        document = json.loads(answer.partition(b"\r\n\r\n")[2])
    except ValueError:
        return False
    if not isinstance(document, dict) or set(document) != {"error"} or not isinstance(document["error"], dict):
        return False
    return {"code", "message"} <= document["error"].keys()


def _processor_seconds(process: int) -> float | None:
    """Of the server and its workers, on Linux."""
    ticks = 0
    waiting = [process]
    try:
        while waiting:
            each = waiting.pop()
            fields = Path(f"/proc/{each}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
            waiting += map(int, Path(f"/proc/{each}/task/{each}/children").read_text(encoding="utf-8").split())
    except OSError:
        return None
    return ticks / os.sysconf("SC_CLK_TCK")
