"""What an image is made of, as a value: the Dockerfile is one rendering of it, and a second builder can take it too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flowpack import __version__
from flowpack.assembly.flow_folder import FlowFolder
from flowpack.dependencies.target import Target
from flowpack.images.base import Base

PORT = 8080
USER = 10001
"""Numeric, so that Kubernetes sees that it is not root; no entry in /etc/passwd is needed."""

FILE_TIME = 315532800
"""The time of every file in flowpack's layers, 1980-01-01: the earliest that zip archives of them could hold."""

VIRTUAL_ENVIRONMENT = "/opt/venv"
SERVING_PACKAGE = "flowpack_serving"
BUILD_STAGE = "build_stage"
"""The folder of the context with what installs the packages, and is in no layer."""

WHEELS = "wheels"
"""The folder of the context with wheels that flowpack built from source distributions; in no layer."""

SBOM_NAME = "bom.cdx.json"
"""The ending by which scanners know a CycloneDX document inside an image."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A file or folder of the build context, and where it goes in the image; both end without a slash."""

    source: str
    target: str
    comment: str


@dataclass(frozen=True, slots=True)
class Layer:
    name: str
    copies: tuple[Copy, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagePlan:
    """Layers from rarely to often changed: the base's, the lock's packages, then ``layers``.

    Every file above the base's is root's, 0644 or 0755, and of FILE_TIME.
    """

    base: Base
    target: Target
    lock: str
    layers: tuple[Layer, ...]
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    variables: tuple[str, ...]
    """What has to be set when the image runs; named in a comment, without values."""
    setup_sh: str | None
    command: tuple[str, ...]
    health_command: tuple[str, ...]
    wheels: bool = False
    """Whether the context has wheels of its own, built from source distributions."""


def plan_image(
    folder: FlowFolder,
    *,
    base: Base,
    target: Target,
    lock_digest: str,
    variables: tuple[str, ...],
    wheels: bool = False,
) -> ImagePlan:
    python = f"{VIRTUAL_ENVIRONMENT}/bin/python"
    packages = f"{VIRTUAL_ENVIRONMENT}/lib/python{target.python}/site-packages"
    return ImagePlan(
        base=base,
        target=target,
        lock="requirements.lock",
        layers=(
            Layer("launcher", (Copy(SERVING_PACKAGE, f"{packages}/{SERVING_PACKAGE}", "starts and serves the flow"),)),
            Layer(
                "flow",
                (
                    Copy(SBOM_NAME, f"/{SBOM_NAME}", "the bill of materials"),
                    Copy("connections", "/connections", "references to variables, no values"),
                    Copy("flow", "/flow", "the flow"),
                ),
            ),
        ),
        environment={
            "PATH": f"{VIRTUAL_ENVIRONMENT}/bin:$PATH",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        labels=_labels(folder, base, lock_digest),
        variables=variables,
        setup_sh=folder.flow.environment.setup_sh,
        command=(python, "-m", SERVING_PACKAGE),
        health_command=(python, "-m", f"{SERVING_PACKAGE}.health"),
        wheels=wheels,
    )


def _labels(folder: FlowFolder, base: Base, lock_digest: str) -> dict[str, str]:
    """OCI's own keys, promptflow's model properties, and what leads from an image back to its inputs."""
    flow = folder.flow
    labels = {
        "org.opencontainers.image.title": flow.name,
        "azureml.promptflow.source_flow_id": flow.name,
        "flowpack.version": __version__,
        "flowpack.flow.digest": folder.digest,
        "flowpack.lock.digest": lock_digest,
    }
    if len(base.lines) == 1:
        labels["org.opencontainers.image.base.name"] = base.lines[0].split()[1]
    if flow.chat:
        labels |= {
            "azureml.promptflow.mode": "chat",
            "azureml.promptflow.chat_input": flow.chat.input,
            "azureml.promptflow.chat_output": flow.chat.output,
        }
    return dict(sorted(labels.items()))
