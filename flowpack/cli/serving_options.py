"""Options of the commands that start a flow."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from flowpack.cli.options import build_request, build_secrets, together
from flowpack.errors import InputError, Location, UsageError
from flowpack.pipeline.builds import BuildRequest
from flowpack.pipeline.serve import ServeRequest

variable_options = together(
    click.option(
        "--env", "-e", "variables", multiple=True, metavar="NAME[=VALUE]", help="Set or pass a variable. Repeatable."
    ),
    click.option(
        "--env-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A file of variables, one NAME=VALUE per line.",
    ),
)

serving_options = together(
    click.option(
        "--engine",
        type=click.Choice(["auto", "docker", "venv"]),
        default="auto",
        show_default=True,
        envvar="FLOWPACK_ENGINE",
        help="Run in a container or in a virtual environment; auto uses a container if an engine answers.",
    ),
    click.option("--port", type=click.IntRange(1, 65535), help="The port on this machine. Default: a free one."),
    variable_options,
    click.option("--run-network", metavar="MODE", help="The container's network: host, or a network's name."),
    click.option(
        "--timeout",
        type=click.FloatRange(min=1),
        default=120.0,
        show_default=True,
        metavar="SECONDS",
        help="Seconds to wait for the start, and for the answer.",
    ),
)

_OF_THE_BUILD = (
    "variant",
    "include_roots",
    "python",
    "platform",
    "resolver",
    "pass_variables",
    "slim",
    "azureml",
    "allow_source",
    "locked",
    "base_image",
    "trust_base",
)


def build_of(options: dict[str, Any]) -> Callable[[Path], BuildRequest]:
    """How a flow is built that is given instead of a build."""
    given = {name: options[name] for name in _OF_THE_BUILD}
    pip_config = None if options["engine"] == "venv" else options["pip_config"]
    return lambda source: build_request(source, pip_config=pip_config, **given)


def serve_request(options: dict[str, Any]) -> ServeRequest:
    return ServeRequest(
        engine=options["engine"],
        environment=variables_of(options),
        port=options["port"],
        network=options["run_network"],
        timeout=options["timeout"],
        secrets=build_secrets(options["pip_config"], options["ca_bundle"]),
        build_network=options["network"],
        trust_base=options["trust_base"],
    )


def variables_of(options: dict[str, Any], unset: Callable[[str], None] | None = None) -> dict[str, str]:
    """An option goes before the file; ``unset`` is told of a name that this machine does not have, else an error."""
    return {**_file_variables(options["env_file"]), **_variables(options["variables"], unset)}


def _variables(pairs: tuple[str, ...], unset: Callable[[str], None] | None) -> dict[str, str]:
    variables = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if unset and name and not equals and name not in os.environ:
            unset(name)
            continue
        if not name or (not equals and name not in os.environ):
            hint = "write NAME=VALUE, or set the variable and write NAME"
            raise UsageError(f"--env '{name}' has no value", hint=hint)
        variables[name] = value if equals else os.environ[name]
    return variables


def _file_variables(file: Path | None) -> dict[str, str]:
    """As ``docker run --env-file`` reads it: no quoting, comments on lines of their own."""
    variables = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines() if file else (), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise InputError("expected NAME=VALUE", location=Location(file or Path(), number))
        variables[name.strip()] = value
    return variables
