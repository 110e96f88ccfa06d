"""``flowpack test``."""

from __future__ import annotations

import click

from flowpack.cli.inputs import InputOptions, input_options
from flowpack.cli.options import Console, console_options
from flowpack.cli.serving_options import StartOptions, start_options
from flowpack.pipeline.serve import BuildFolder, built_flow, flow_of_image, serve
from flowpack.quoting import json_text
from flowpack.running.scoring import sample_input, score


@click.command("test")
@click.argument("subject", metavar="SOURCE|IMAGE")
@input_options
@start_options
@console_options
def command(subject: str, *, input_options: InputOptions, start_options: StartOptions, console: Console) -> None:
    """Start a flow, what `flowpack build` wrote, or an image; score its sample; stop it.

    The sample is the flow's samples.json, else the sample in its file, else the defaults of its inputs. The flow gets
    the variables that `flowpack run` gives it. Prints the answer on stdout.
    """
    reporter = console.reporter()
    given = input_options.given()
    request = start_options.request()
    resolved = start_options.resolve(subject, reporter)
    # A build's inputs are checked before it starts; an image's flow is in its container.
    sample = sample_input(built_flow(resolved), given) if isinstance(resolved, BuildFolder) else None
    with serve(resolved, request, reporter) as served:
        reporter.info(f"healthy after {served.seconds:.1f} s ({served.engine})")
        if sample is None:
            with flow_of_image(served) as flow:
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
    console.answer(document, json_text(scored.answer))
