"""``flowpack run``."""

from __future__ import annotations

import click

from flowpack.cli.options import Console, console_options
from flowpack.cli.output import show
from flowpack.cli.serving_options import StartOptions, start_options
from flowpack.errors import ServingError
from flowpack.pipeline.serve import serve


@click.command("run")
@click.argument("subject", metavar="SOURCE|IMAGE")
@start_options
@console_options
def command(subject: str, *, start_options: StartOptions, console: Console) -> None:
    """Serve a flow, what `flowpack build` wrote, or an image, until Ctrl-C.

    The flow gets the variables of --env and --env-file, those that serving reads, and those of this machine that it
    names itself, except credentials of the machine (AWS_..., GITHUB_..., AZURE_... and such). Prints the URL on stdout
    once it is healthy, and the server's log on stderr.
    """
    reporter = console.reporter()
    request = start_options.request()
    with serve(start_options.resolve(subject, reporter), request, reporter) as served:
        document = {"url": served.url, "engine": served.engine, "start_seconds": round(served.seconds, 3)}
        console.answer(document, served.url)
        status = served.server.follow(show)
    if status:
        raise ServingError(f"the server ended with exit status {status}")
