"""Scores a flow that is served: what to send it, and what it answered."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flowpack.documents.json_documents import parse_json
from flowpack.errors import InputError, Location, ServingError, listed, nearest
from flowpack.flows.model import REQUIRED, Flow, FlowKind
from flowpack.reading import DOCUMENT_BYTES, Roots, read_text
from flowpack.running.health import DIRECT

SAMPLES = "samples.json"
_SWAGGER_SECONDS = 30.0


@dataclass(frozen=True)
class Scored:
    status: int
    answer: Any
    seconds: float


def sample_input(flow: Flow, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The first sample of ``samples.json``, else the flow file's own, and over it what was given.

    The defaults of a DAG flow's inputs are sent as well; the code of the others has its own. A chat begins without a
    history.
    """
    samples = flow.folder / SAMPLES
    sample = _first_sample(samples, flow.roots)
    _refuse_unknown(flow, given or {}, None)
    _refuse_unknown(flow, sample, Location(samples))
    sends_defaults = flow.kind is FlowKind.DAG
    with_default = {name: each.default for name, each in flow.inputs.items() if each.default is not REQUIRED}
    begun: dict[str, Any] = {flow.chat.history: []} if flow.chat and flow.chat.history not in with_default else {}
    inputs = {**begun, **(with_default if sends_defaults else {}), **(sample or flow.sample), **(given or {})}
    without = [name for name in flow.inputs if name not in inputs and name not in with_default]
    if without:
        names = ", ".join(f"'{name}'" for name in without)
        raise InputError(
            f"no default, and no value in {SAMPLES}, for the input{'s' if len(without) > 1 else ''} {names}",
            hint=f"give what is missing with --input {without[0]}=VALUE, or with --inputs FILE",
        )
    return inputs


def _refuse_unknown(flow: Flow, names: Iterable[str], location: Location | None) -> None:
    """A value that nothing in the flow reads: the input that was meant would silently get its default."""
    if flow.kind is FlowKind.DAG or flow.inputs:
        refuse_unknown_inputs(names, flow.inputs, location)


def refuse_unknown_inputs(names: Iterable[str], inputs: Collection[str], location: Location | None = None) -> None:
    unknown = next((name for name in names if name not in inputs), None)
    if unknown is not None:
        near = nearest(unknown, inputs)
        known = f"its inputs are {listed(inputs)}" if inputs else "it has no inputs"
        raise InputError(
            f"the flow has no input '{unknown}'",
            location=location,
            hint=f"did you mean '{near}'?" if near else known,
        )


def served_inputs(url: str, headers: Mapping[str, str], opener: urllib.request.OpenerDirector) -> list[str] | None:
    """The names of a served flow's inputs by its swagger.json. None if that does not tell: the server answers then."""
    request = urllib.request.Request(f"{url}/swagger.json", headers=dict(headers))  # noqa: S310  (see score)
    try:
        with opener.open(request, timeout=_SWAGGER_SECONDS) as answer:
            content = json.loads(answer.read())["paths"]["/score"]["post"]["requestBody"]["content"]
            return list(content["application/json"]["schema"]["properties"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None


def _first_sample(path: Path, within: Roots) -> dict[str, Any]:
    """``pf`` wants a list; an object alone is what people write."""
    if not path.is_file():
        return {}
    text = read_text(path, limit=DOCUMENT_BYTES, within=within)
    data = parse_json(text, path)
    first = data[0] if isinstance(data, list) and data else data
    if isinstance(first, dict):
        return first
    if first == []:
        return {}
    raise InputError(
        "expected an object, or a list of objects",
        location=Location(path),
        hint='write the inputs of one request: [{"question": "..."}]',
    )


def score(
    url: str,
    inputs: Mapping[str, Any],
    timeout: float = 300.0,
    *,
    headers: Mapping[str, str] = MappingProxyType({}),
    opener: urllib.request.OpenerDirector = DIRECT,
) -> Scored:
    """ServingError with the flow's own words where it does not answer 200."""
    request = urllib.request.Request(  # noqa: S310 - the URL is of a server that we started, or of our endpoint
        f"{url}/score",
        data=json.dumps(dict(inputs)).encode(),
        headers={"content-type": "application/json", "accept": "application/json", **headers},
    )
    began = time.monotonic()
    try:
        with opener.open(request, timeout=timeout) as response:
            status, body = response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            words = _words(error.read().decode("utf-8", errors="replace"))
        refusal = ServingError(f"the flow answered {error.code} {error.reason}", detail=words)
        refusal.status = error.code
        raise refusal from error
    except TimeoutError as error:
        message = f"the flow did not answer within {timeout:g} s"
        raise ServingError(message, hint="give it more with --timeout") from error
    except (OSError, http.client.HTTPException) as error:
        raise ServingError("the server broke the connection off", detail=str(error)) from error
    seconds = time.monotonic() - began
    try:
        answer = json.loads(body)
    except ValueError:
        answer = body.decode("utf-8", errors="replace")
    return Scored(status, answer, seconds)


def _words(body: str) -> str:
    """promptflow's error document holds its message under ``error``."""
    try:
        error = json.loads(body)["error"]
        return f"{error['code']}: {error['message']}"
    except (ValueError, KeyError, TypeError):
        return body
