"""``flowpack test``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from flowpack.cli.options import answer_options, assignments, base_options, engine_options, flow_options
from flowpack.cli.output import answer, narrator
from flowpack.cli.serving_options import build_of, serve_request, serving_options
from flowpack.errors import InputError, Location


@click.command("test")
@click.argument("subject", metavar="SOURCE|IMAGE")
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input, JSON or text. Repeatable.")
@click.option("--inputs", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Inputs as JSON.")
@serving_options
@flow_options
@base_options
@engine_options
@answer_options
def command(
    subject: str, *, inputs: tuple[str, ...], file: Path | None, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Start a flow, what `flowpack build` wrote, or an image; score its sample; stop it.

    The sample is the flow's samples.json, else the sample in its file, else the defaults of its inputs. Prints the
    answer on stdout.
    """
    from flowpack.running.scoring import sample_input, score  # noqa: PLC0415
    from flowpack.running.serve import serve, served_flow  # noqa: PLC0415
    from flowpack.running.subject import resolve_subject  # noqa: PLC0415

    narrate = narrator(quiet)
    given = _given(file, inputs)
    request = serve_request(options)
    resolved = resolve_subject(subject, build_of(options), narrate)
    with serve(resolved, request, narrate) as served:
        narrate(f"healthy after {served.seconds:.1f} s ({served.engine})")
        with served_flow(resolved, served) as flow:
            sample = sample_input(flow, given)
        scored = score(served.url, sample, request.timeout)
    narrate(f"scored in {scored.seconds:.2f} s")
    document = {
        "engine": served.engine,
        "start_seconds": round(served.seconds, 3),
        "score_seconds": round(scored.seconds, 3),
        "inputs": sample,
        "answer": scored.answer,
    }
    answer(document, json.dumps(scored.answer, indent=2, ensure_ascii=False), as_json)


def _given(file: Path | None, pairs: tuple[str, ...]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if file is not None:
        try:
            given = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"is no JSON: {error}", location=Location(file)) from error
        if not isinstance(given, dict):
            raise InputError("expected an object of inputs", location=Location(file))
    return given | {name: _value(text) for name, text in assignments(pairs, "--input").items()}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
