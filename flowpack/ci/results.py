"""What a CI run did with each flow, for the people who look at it and for the jobs that follow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from flowpack.quoting import markdown_block, markdown_text

_MEGABYTE = 1_000_000
_TITLES = ("Flow", "State", "Image", "Size", "Layers reused", "Test", "Model", "Endpoint")


State = Literal["done", "not tested", "failed", "unchanged"]
"""A flow is done when it has answered its sample, in the test or behind its endpoint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowResult:
    """Of a flow that failed what was reached before is there.

    ``image`` is the image's name in the engine, ``reference`` names the pushed one by its digest; ``layers`` and
    ``layers_reused`` are those of the push, ``scoring_uri`` is that of the endpoint, ``exit_code`` that of the error.
    """

    flow: str
    source: str
    state: State = "done"
    flow_digest: str | None = None
    image: str | None = None
    image_id: str | None = None
    reference: str | None = None
    size: int | None = None
    layers: int | None = None
    layers_reused: int | None = None
    test: str | None = None
    model: str | None = None
    endpoint: str | None = None
    deployment: str | None = None
    scoring_uri: str | None = None
    error: str | None = None
    exit_code: int = 0


def outputs(results: Sequence[FlowResult]) -> dict[str, str]:
    """For the next job: JSON on one line each, as every CI service takes it."""
    return {
        "flows": _line([asdict(result) for result in results]),
        "images": _line({result.flow: result.reference for result in results if result.reference}),
        "models": _line({result.flow: result.model for result in results if result.model}),
        "endpoints": _line({result.flow: result.scoring_uri for result in results if result.scoring_uri}),
    }


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def summary(results: Sequence[FlowResult]) -> str:
    """Markdown: a table of the flows, and below it what failed in its own words."""
    taken = [result for result in results if result.state != "unchanged"]
    lines = [f"## flowpack: {_headline(results)}", ""]
    if taken:
        lines += [f"| {' | '.join(_TITLES)} |", "|---" * len(_TITLES) + "|"]
        lines += [f"| {' | '.join(map(_cell, _row(result)))} |" for result in taken]
        lines.append("")
    for result in taken:
        if result.error:
            lines += [f"### {_cell(result.flow)}", "", *markdown_block(result.error), ""]
    return "\n".join(lines)


def _headline(results: Sequence[FlowResult]) -> str:
    states = [result.state for result in results]
    told = [f"{states.count(state)} {state}" for state in get_args(State) if state in states]
    return f"{len(results)} flow{'' if len(results) == 1 else 's'}, {', '.join(told)}"


def _row(result: FlowResult) -> Iterator[str | None]:
    yield result.flow
    yield result.state
    yield result.reference or (f"{result.image} {result.image_id}" if result.image else None)
    yield f"{result.size / _MEGABYTE:.0f} MB" if result.size else None
    yield f"{result.layers_reused} of {result.layers}" if result.layers is not None else None
    yield result.test
    yield result.model
    yield f"{result.endpoint} / {result.deployment}" if result.endpoint else None


def _cell(text: str | None) -> str:
    return markdown_text(text) if text else "–"
