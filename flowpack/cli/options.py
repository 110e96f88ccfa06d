"""Options that several commands share. Each group is declared once and reaches a command as one frozen value."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_args

import click
from click.core import ParameterSource

from flowpack.cli.output import answer
from flowpack.cli.reporters import reporter_for
from flowpack.dependencies.passed_variables import PassedVariable
from flowpack.dependencies.target import DEFAULT_PYTHON, Platform, Target
from flowpack.errors import UsageError
from flowpack.flows.variants import VariantChoice
from flowpack.images.dockerfile import CA_BUNDLE_SECRET, PIP_CONFIG_SECRET
from flowpack.images.reference import ImageReference
from flowpack.pipeline.builds import BuildRequest, ConflictPolicy, ImageRequest, ResolverChoice
from flowpack.reporting import Reporter

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Command], Command]

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_PATH = click.Path(path_type=Path)


def option_group(parameter: str, values: type[Any], *options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """The command gets these options as one value of the dataclass ``values``, by the name ``parameter``."""
    names = [field.name for field in fields(values)]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_values(**given: Any) -> Any:
            of_the_group = values(**{name: given.pop(name) for name in names})
            return command(**given, **{parameter: of_the_group})

        decorated: Any = with_values
        for option in reversed(options):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


@dataclass(frozen=True, kw_only=True, slots=True)
class Console:
    """How a command answers: ``--json`` and ``--quiet``."""

    as_json: bool
    quiet: bool

    def reporter(self) -> Reporter:
        return reporter_for(self.quiet)

    def answer(self, document: Mapping[str, Any], text: str) -> None:
        answer(document, text, self.as_json)


console_options = option_group(
    "console",
    Console,
    click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON on stdout."),
    click.option("--quiet", "-q", is_flag=True, help="Write only warnings and errors to stderr."),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowOptions:
    """How a flow is read, assembled and locked."""

    variant: str | None
    include_roots: tuple[Path, ...]
    on_conflict: ConflictPolicy
    python: str
    platform: str | None
    resolver: ResolverChoice
    slim: bool
    azureml: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PackageOptions:
    """What the installation of packages may use besides wheels and indexes without credentials."""

    pass_variables: tuple[str, ...] = ()
    allow_source: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseOptions:
    """Which lock and which base image are taken."""

    locked: bool = False
    base_image: str | None = None
    trust_base: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineOptions:
    """How the engine builds an image."""

    network: str | None
    pip_config: Path | None
    ca_bundle: Path | None
    pull: bool
    no_cache: bool

    @property
    def secrets(self) -> dict[str, Path]:
        """BuildKit's secret ids and their files."""
        secrets = {PIP_CONFIG_SECRET: self.pip_config, CA_BUNDLE_SECRET: self.ca_bundle}
        return {name: path for name, path in secrets.items() if path is not None}

    def image_request(self, tag: str, *, push: bool = False) -> ImageRequest:
        return ImageRequest(
            tag=ImageReference.parse(tag),
            push=push,
            secrets=self.secrets,
            pull=self.pull,
            no_cache=self.no_cache,
        )


source_argument = click.argument("source", type=_PATH)

flow_options = option_group(
    "flow_options",
    FlowOptions,
    click.option("--variant", metavar="NODE.VARIANT", help="Take this variant of a node instead of its default."),
    click.option(
        "--include-root",
        "include_roots",
        multiple=True,
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Allow additional includes from this folder too; the project's root is always allowed. Repeatable.",
    ),
    click.option(
        "--on-conflict",
        type=click.Choice(get_args(ConflictPolicy)),
        default="warn",
        show_default=True,
        envvar="FLOWPACK_ON_CONFLICT",
        help="What to do when two sources supply different files for one path; with warn the last include wins.",
    ),
    click.option(
        "--python",
        default=DEFAULT_PYTHON,
        show_default=True,
        metavar="3.N",
        envvar="FLOWPACK_PYTHON",
        help="The image's Python.",
    ),
    click.option(
        "--platform",
        metavar="OS/ARCH",
        envvar="FLOWPACK_PLATFORM",
        help="The image's platform, linux/amd64 or linux/arm64; by default this machine's.",
    ),
    click.option(
        "--resolver",
        type=click.Choice(get_args(ResolverChoice)),
        default="auto",
        show_default=True,
        envvar="FLOWPACK_RESOLVER",
        help="What pins the requirements; auto takes uv where it is installed.",
    ),
    click.option(
        "--slim",
        is_flag=True,
        envvar="FLOWPACK_SLIM",
        help="Leave promptflow's full SDK out where the sources prove that promptflow-core is enough.",
    ),
    click.option(
        "--azureml",
        is_flag=True,
        envvar="FLOWPACK_AZUREML",
        help="Add what reads connections from an Azure ML workspace through the managed identity.",
    ),
)

package_options = option_group(
    "package_options",
    PackageOptions,
    click.option(
        "--pass-variable",
        "pass_variables",
        multiple=True,
        metavar="NAME[@HOST]",
        envvar="FLOWPACK_PASS_VARIABLE",
        help="Put this variable into ${NAME} in the URLs of requirements, by default of any host. Repeatable.",
    ),
    click.option(
        "--allow-source",
        multiple=True,
        metavar="NAME",
        envvar="FLOWPACK_ALLOW_SOURCE",
        help="Build this package in a container of its own where it has no wheel; runs its author's code. Repeatable.",
    ),
)

base_image_option = click.option(
    "--base-image",
    metavar="IMAGE",
    envvar="FLOWPACK_BASE_IMAGE",
    help="Start from this image; see Dockerfile.base.",
)

base_options = option_group(
    "base_options",
    BaseOptions,
    click.option("--locked", is_flag=True, help="Refuse a lockfile that is missing or stale instead of making one."),
    base_image_option,
    click.option(
        "--trust-base",
        is_flag=True,
        envvar="FLOWPACK_TRUST_BASE",
        help="Let the project's Dockerfile.base or environment.image read the build's secrets.",
    ),
)

network_option = click.option(
    "--network", metavar="MODE", envvar="FLOWPACK_BUILD_NETWORK", help="Network of the build: host, none."
)

engine_options = option_group(
    "engine_options",
    EngineOptions,
    network_option,
    click.option(
        "--pip-config",
        type=EXISTING_FILE,
        envvar="FLOWPACK_PIP_CONFIG",
        help="A pip.conf for the build (private indexes); a BuildKit secret, it stays in no layer.",
    ),
    click.option(
        "--ca-bundle",
        type=EXISTING_FILE,
        envvar="FLOWPACK_CA_BUNDLE",
        help="CA certificates for the build (inspecting proxies); a BuildKit secret, it stays in no layer.",
    ),
    click.option("--pull", is_flag=True, help="Look for a newer base image."),
    click.option("--no-cache", is_flag=True, help="Build every layer again."),
)


def build_request(
    source: Path,
    flow: FlowOptions,
    packages: PackageOptions = PackageOptions(),
    base: BaseOptions = BaseOptions(),
    *,
    output: Path | None = None,
    pip_config: Path | None = None,
    network: str | None = None,
    buildkit: bool = True,
) -> BuildRequest:
    return BuildRequest(
        source=source,
        target=Target.parse(flow.python, flow.platform or str(Platform.of_this_machine())),
        output=output,
        variant=VariantChoice.parse(flow.variant) if flow.variant else None,
        include_roots=flow.include_roots,
        on_conflict=flow.on_conflict,
        resolver=flow.resolver,
        passed_variables=tuple(map(PassedVariable.parse, packages.pass_variables)),
        slim=flow.slim,
        azureml=flow.azureml,
        allow_source=packages.allow_source,
        locked=base.locked,
        base_image=base.base_image,
        trust_base=base.trust_base,
        pip_config=pip_config,
        network=network,
        buildkit=buildkit,
    )


def image_with_digest(text: str | None) -> str | None:
    """Without the tag, which may come to mean another image."""
    if text is None:
        return None
    reference = ImageReference.parse(text)
    if reference.digest is None:
        raise UsageError(f"'{text}' does not name the image by its digest", hint="--image REGISTRY/REPOSITORY@sha256:…")
    return reference.with_digest(reference.digest)


def given_option(names: Collection[str]) -> str | None:
    """The first of these options on the command line; values from variables and defaults are ignored."""
    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name in names and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE:
            return parameter.opts[0]
    return None


def assignments(pairs: tuple[str, ...], option: str) -> dict[str, str]:
    """``NAME=VALUE`` options as a mapping."""
    parsed = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} '{name}' is not NAME=VALUE")
        parsed[name] = value
    return parsed
