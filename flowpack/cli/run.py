"""``flowpack run``."""

from __future__ import annotations

from typing import Any

import click

from flowpack.cli.options import (
    answer_options,
    base_options,
    engine_options,
    flow_options,
    package_options,
)
from flowpack.cli.output import answer, show
from flowpack.cli.reporters import reporter_for
from flowpack.cli.serving_options import build_of, serve_request, serving_options
from flowpack.errors import ServingError
from flowpack.pipeline.serve import resolve_subject, serve


@click.command("run")
@click.argument("subject", metavar="SOURCE|IMAGE")
@serving_options
@flow_options
@package_options
@base_options
@engine_options
@answer_options
def command(subject: str, *, as_json: bool, quiet: bool, **options: Any) -> None:
    """Serve a flow, what `flowpack build` wrote, or an image, until Ctrl-C.

    The flow gets the variables of --env and --env-file, those that serving reads, and those of this machine that it
    names itself, except credentials of the machine (AWS_..., GITHUB_..., AZURE_... and such). Prints the URL on stdout
    once it is healthy, and the server's log on stderr.
    """

    reporter = reporter_for(quiet)
    resolved = resolve_subject(subject, build_of(options), reporter)
    with serve(resolved, serve_request(options), reporter) as served:
        document = {"url": served.url, "engine": served.engine, "start_seconds": round(served.seconds, 3)}
        answer(document, served.url, as_json)
        status = served.server.follow(show)
    if status:
        raise ServingError(f"the server ended with exit status {status}")
