"""What a build is asked for, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

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


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildRequest:
    """What ``flowpack build`` was asked for; ``output`` is None where only an image is wanted."""

    source: Path
    target: Target
    output: Path | None = None
    variant: VariantChoice | None = None
    include_roots: tuple[Path, ...] = ()
    on_conflict: str = "warn"
    resolver: str = "auto"
    passed_variables: tuple[PassedVariable, ...] = ()
    locked: bool = False
    slim: bool = False
    azureml: bool = False
    allow_source: tuple[str, ...] = ()
    base_image: str | None = None
    trust_base: bool = False
    pip_config: Path | None = None
    """What the image's install step will be given; None where no image is built."""
    buildkit: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRequest:
    """How the engine is to build; ``secrets`` maps BuildKit's secret ids to files."""

    tag: ImageReference
    push: bool = False
    secrets: Mapping[str, Path] = field(default_factory=dict)
    network: str | None = None
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
