"""Options of the commands that start a flow."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_args

import click

from flowpack.cli.options import (
    EXISTING_FILE,
    BaseOptions,
    EngineOptions,
    FlowOptions,
    PackageOptions,
    base_options,
    build_request,
    engine_options,
    flow_options,
    given_option,
    option_group,
    package_options,
)
from flowpack.errors import InputError, Location, UsageError
from flowpack.images.build_record import is_build
from flowpack.images.reference import ImageReference
from flowpack.pipeline.builds import BuildRequest
from flowpack.pipeline.serve import BuildFolder, EngineChoice, ServeRequest, resolve_subject
from flowpack.reporting import Reporter


@dataclass(frozen=True, kw_only=True, slots=True)
class VariableOptions:
    variables: tuple[str, ...]
    env_file: Path | None

    def values(self, unset: Callable[[str], None] | None = None) -> dict[str, str]:
        """``--env`` goes before the file. A name that this machine does not have goes to ``unset``, or is refused."""
        return {**_file_variables(self.env_file), **_variables(self.variables, unset)}


variable_options = option_group(
    "variable_options",
    VariableOptions,
    click.option(
        "--env", "-e", "variables", multiple=True, metavar="NAME[=VALUE]", help="Set or pass a variable. Repeatable."
    ),
    click.option("--env-file", type=EXISTING_FILE, help="A file of variables, one NAME=VALUE per line."),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServingOptions:
    engine: EngineChoice
    port: int | None
    run_network: str | None
    timeout: float


serving_options = option_group(
    "serving_options",
    ServingOptions,
    click.option(
        "--engine",
        type=click.Choice(get_args(EngineChoice)),
        default="auto",
        show_default=True,
        envvar="FLOWPACK_ENGINE",
        help="Run in a container or in a virtual environment; auto uses a container if an engine answers.",
    ),
    click.option("--port", type=click.IntRange(1, 65535), help="The port on this machine. Default: a free one."),
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


@dataclass(frozen=True, kw_only=True, slots=True)
class StartOptions:
    """What ``run`` and ``test`` start a flow, a build or an image with."""

    serving_options: ServingOptions
    variable_options: VariableOptions
    flow_options: FlowOptions
    package_options: PackageOptions
    base_options: BaseOptions
    engine_options: EngineOptions

    def request(self) -> ServeRequest:
        serving, build = self.serving_options, self.engine_options
        return ServeRequest(
            engine=serving.engine,
            environment=self.variable_options.values(),
            port=serving.port,
            network=serving.run_network,
            timeout=serving.timeout,
            secrets=build.secrets,
            build_network=build.network,
            pull=build.pull,
            no_cache=build.no_cache,
            trust_base=self.base_options.trust_base,
        )

    def resolve(self, subject: str, reporter: Reporter) -> BuildFolder | ImageReference:
        """A flow is built. An option that has no effect on what is served is refused."""
        is_flow = Path(subject).exists() and not is_build(Path(subject))
        if self.serving_options.engine == "venv":
            _refuse(_OF_A_CONTAINER, "--engine venv starts no container")
        if not is_flow:
            _refuse(_OF_A_FLOW, "what is served is built already")
        return resolve_subject(subject, self._build_request, reporter)

    def _build_request(self, source: Path) -> BuildRequest:
        pip_config = None if self.serving_options.engine == "venv" else self.engine_options.pip_config
        return build_request(
            source,
            self.flow_options,
            self.package_options,
            self.base_options,
            pip_config=pip_config,
            network=self.engine_options.network,
        )


start_options = option_group(
    "start_options",
    StartOptions,
    serving_options,
    variable_options,
    flow_options,
    package_options,
    base_options,
    engine_options,
)

_OF_A_FLOW = tuple(
    field.name
    for group in (FlowOptions, PackageOptions, BaseOptions)
    for field in fields(group)
    if field.name != "trust_base"  # a build's image may be built again
)
_OF_A_CONTAINER = ("run_network", "pip_config", "ca_bundle", "pull", "no_cache")


def _refuse(names: tuple[str, ...], why: str) -> None:
    option = given_option(names)
    if option:
        raise UsageError(f"{option} has no effect here: {why}", hint=f"leave out {option}")


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
