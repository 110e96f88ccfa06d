"""Options that several commands share, each declared once and parsed into a value at the door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from flowpack.dependencies.passed_variables import PassedVariable
from flowpack.dependencies.target import DEFAULT_PYTHON, Platform, Target
from flowpack.errors import UsageError
from flowpack.flows.variants import VariantChoice
from flowpack.images.dockerfile import CA_BUNDLE_SECRET, PIP_CONFIG_SECRET
from flowpack.images.reference import ImageReference
from flowpack.pipeline.builds import BuildRequest, ImageRequest

Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_PATH = click.Path(path_type=Path)


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


source_argument = click.argument("source", type=_PATH)

answer_options = together(
    click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON on stdout."),
    click.option("--quiet", "-q", is_flag=True, help="Write only warnings and errors to stderr."),
)

flow_options = together(
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
        type=click.Choice(["warn", "error"]),
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
        type=click.Choice(["auto", "pip-tools", "uv"]),
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

package_options = together(
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

base_options = together(
    click.option("--locked", is_flag=True, help="Refuse a lockfile that is missing or stale instead of making one."),
    base_image_option,
    click.option(
        "--trust-base",
        is_flag=True,
        envvar="FLOWPACK_TRUST_BASE",
        help="Let the project's Dockerfile.base or environment.image read the build's secrets.",
    ),
)

engine_options = together(
    click.option(
        "--network", metavar="MODE", envvar="FLOWPACK_BUILD_NETWORK", help="Network of the build: host, none."
    ),
    click.option(
        "--pip-config",
        type=_FILE,
        envvar="FLOWPACK_PIP_CONFIG",
        help="A pip.conf for the build (private indexes); a BuildKit secret, it stays in no layer.",
    ),
    click.option(
        "--ca-bundle",
        type=_FILE,
        envvar="FLOWPACK_CA_BUNDLE",
        help="CA certificates for the build (inspecting proxies); a BuildKit secret, it stays in no layer.",
    ),
    click.option("--pull", is_flag=True, help="Look for a newer base image."),
    click.option("--no-cache", is_flag=True, help="Build every layer again."),
)


def build_request(
    source: Path,
    *,
    output: Path | None = None,
    variant: str | None,
    include_roots: tuple[Path, ...],
    on_conflict: str = "warn",
    python: str,
    platform: str | None,
    resolver: str,
    pass_variables: tuple[str, ...] = (),
    slim: bool = False,
    azureml: bool = False,
    allow_source: tuple[str, ...] = (),
    locked: bool = False,
    base_image: str | None = None,
    trust_base: bool = False,
    pip_config: Path | None = None,
    buildkit: bool = True,
) -> BuildRequest:
    return BuildRequest(
        source=source,
        target=Target.parse(python, platform or str(Platform.of_this_machine())),
        output=output,
        variant=VariantChoice.parse(variant) if variant else None,
        include_roots=include_roots,
        on_conflict=on_conflict,
        resolver=resolver,
        passed_variables=tuple(map(PassedVariable.parse, pass_variables)),
        slim=slim,
        azureml=azureml,
        allow_source=allow_source,
        locked=locked,
        base_image=base_image,
        trust_base=trust_base,
        pip_config=pip_config,
        buildkit=buildkit,
    )


def image_request(
    tag: str, *, push: bool, network: str | None, pip_config: Path | None, ca_bundle: Path | None, **flags: bool
) -> ImageRequest:
    secrets = build_secrets(pip_config, ca_bundle)
    return ImageRequest(tag=ImageReference.parse(tag), push=push, secrets=secrets, network=network, **flags)


def build_secrets(pip_config: Path | None, ca_bundle: Path | None) -> dict[str, Path]:
    secrets = {PIP_CONFIG_SECRET: pip_config, CA_BUNDLE_SECRET: ca_bundle}
    return {name: path for name, path in secrets.items() if path is not None}


def assignments(pairs: tuple[str, ...], option: str) -> dict[str, str]:
    """``NAME=VALUE`` options as a mapping."""
    parsed = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} '{name}' is not NAME=VALUE")
        parsed[name] = value
    return parsed
