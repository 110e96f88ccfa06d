"""``flowpack test``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flowpack.cli.inputs import given_inputs, input_options
from flowpack.cli.options import (
    answer_options,
    base_options,
    engine_options,
    flow_options,
    package_options,
)
from flowpack.cli.output import answer
from flowpack.cli.reporters import reporter_for
from flowpack.cli.serving_options import build_of, serve_request, serving_options
from flowpack.pipeline.serve import resolve_subject, serve, served_flow
from flowpack.quoting import json_text
from flowpack.running.scoring import sample_input, score


@click.command("test")
@click.argument("subject", metavar="SOURCE|IMAGE")
@input_options
@serving_options
@flow_options
@package_options
@base_options
@engine_options
@answer_options
def command(
    subject: str, *, inputs: tuple[str, ...], file: Path | None, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Start a flow, what `flowpack build` wrote, or an image; score its sample; stop it.

    The sample is the flow's samples.json, else the sample in its file, else the defaults of its inputs. The flow gets
    the variables that `flowpack run` gives it. Prints the answer on stdout.
    """

    reporter = reporter_for(quiet)
    given = given_inputs(file, inputs)
    request = serve_request(options)
    resolved = resolve_subject(subject, build_of(options), reporter)
    with serve(resolved, request, reporter) as served:
        reporter.info(f"healthy after {served.seconds:.1f} s ({served.engine})")
        with served_flow(resolved, served) as flow:
            sample = sample_input(flow, given)
        with reporter.task("scoring the sample") as task:
            scored = score(served.url, sample, request.timeout)
            task.finish("scored the sample")
    document = {
        "engine": served.engine,
        "start_seconds": round(served.seconds, 3),
        "score_seconds": round(scored.seconds, 3),
        "inputs": sample,
        "answer": scored.answer,
    }
    answer(document, json_text(scored.answer), as_json)
