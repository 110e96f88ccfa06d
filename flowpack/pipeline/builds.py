"""What a build is asked for, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from flowpack.assembly.flow_folder import FlowFolder
from flowpack.dependencies.lockfile import Lockfile
from flowpack.dependencies.passed_variables import PassedVariable
from flowpack.dependencies.target import Target
from flowpack.flows.connections import Connection
from flowpack.flows.model import Flow
from flowpack.flows.variants import VariantChoice
from flowpack.images.base import Base
from flowpack.images.context import BuildContext
from flowpack.images.plan import ImagePlan

if TYPE_CHECKING:
    from flowpack.images.engine.model import BuiltImage, PushedImage
    from flowpack.images.reference import ImageReference

ConflictPolicy = Literal["warn", "error"]
"""What two sources that supply different files for one path are: a warning, or an error."""

ResolverChoice = Literal["auto", "pip-tools", "uv"]


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildRequest:
    """What ``flowpack build`` was asked for; ``output`` is None where only an image is wanted."""

    source: Path
    target: Target
    output: Path | None = None
    variant: VariantChoice | None = None
    include_roots: tuple[Path, ...] = ()
    on_conflict: ConflictPolicy = "warn"
    resolver: ResolverChoice = "auto"
    passed_variables: tuple[PassedVariable, ...] = ()
    locked: bool = False
    slim: bool = False
    azureml: bool = False
    allow_source: tuple[str, ...] = ()
    base_image: str | None = None
    trust_base: bool = False
    pip_config: Path | None = None
    """What the image's install step will be given; None where no image is built."""
    network: str | None = None
    """The network of what the engine builds: the image, and wheels of source distributions."""
    buildkit: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRequest:
    """How the engine is to build; ``secrets`` maps BuildKit's secret ids to files."""

    tag: ImageReference
    push: bool = False
    secrets: Mapping[str, Path] = field(default_factory=dict)
    pull: bool = False
    no_cache: bool = False


@dataclass(frozen=True, kw_only=True)
class Assembled:
    """Everything that is known before a resolver runs or a file is written."""

    flow: Flow
    folder: FlowFolder
    connections: tuple[Connection, ...]
    base: Base


@dataclass(frozen=True, kw_only=True)
class Built:
    assembled: Assembled
    lock: Lockfile
    plan: ImagePlan
    context: BuildContext
    output: Path | None
    image: BuiltImage | None = None
    pushed: PushedImage | None = None


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What a dry run knows: no resolver ran, so without a fresh lock its digest in the Dockerfile is a blank."""

    assembled: Assembled
    dockerfile: str
    lock_state: str
