"""``flowpack build``: a flow folder becomes a standalone folder, a lock, a build context, and an image."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flowpack.assembly.flow_folder import write_flow_folder
from flowpack.assembly.staging import staged
from flowpack.checks.shipped_secrets import refuse_shipped_secrets
from flowpack.dependencies.target import Target
from flowpack.errors import LockError
from flowpack.flows.variables import flow_variables
from flowpack.images.context import BuildContext, build_context, required_variables
from flowpack.images.dockerfile import render_dockerfile
from flowpack.images.plan import ImagePlan, plan_image
from flowpack.pipeline.assemble import assemble_flow
from flowpack.pipeline.builds import Assembled, BuildRequest, Built, ImageRequest, Planned
from flowpack.pipeline.lock import built_wheels, lock_flow
from flowpack.reporting import SILENT, Reporter
from flowpack.temporary import temporary_folder

if TYPE_CHECKING:
    from flowpack.images.engine.model import Engine
    from flowpack.pipeline.image import ImageBuilder

FLOW = "flow"
"""The standalone folder's name in the build context."""


def build(
    request: BuildRequest,
    image: ImageRequest | None = None,
    *,
    engine: Callable[[], Engine] | None = None,
    reporter: Reporter = SILENT,
) -> Built:
    """From a flow folder to a build context and, where ``image`` asks for it, an image and its pushed digest."""
    assembled = assemble_flow(request, reporter)
    refuse_shipped_secrets(assembled.folder)
    builder = (
        _image_builder(image, engine) if image else None
    )  # one that does not answer is known before a resolver runs
    lock = lock_flow(assembled, request, reporter=reporter)
    wheels = built_wheels(assembled, request, lock, reporter=reporter)
    with _staging(request.output) as folder:
        before = request.output / FLOW if request.output else None
        write_flow_folder(assembled.folder, folder / FLOW, before, reporter)
        plan = plan_flow(assembled, request.target, lock.digest, wheels=bool(wheels))
        context = context_of(assembled, plan, request, lock.text, wheels)
        context.write(folder)
        built = Built(assembled=assembled, lock=lock, plan=plan, context=context, output=request.output)
        return builder.build(built, request, folder, reporter) if builder else built


def _image_builder(image: ImageRequest, engine: Callable[[], Engine] | None) -> ImageBuilder:
    from flowpack.pipeline.image import ImageBuilder, find_engine  # noqa: PLC0415  (a build without an image starts sooner)

    return ImageBuilder(image, (engine or find_engine)())


def plan_build(request: BuildRequest, reporter: Reporter = SILENT) -> Planned:
    """Everything up to the edge: no resolver runs, nothing is written."""
    assembled = assemble_flow(request, reporter)
    refuse_shipped_secrets(assembled.folder)
    digest, wheels = "", False
    state = f"to be resolved for {request.target}"
    try:
        fresh = lock_flow(assembled, request, only_fresh=True)
        digest, state, wheels = fresh.digest, fresh.origin, bool(fresh.built)
    except LockError as stale:
        if request.locked:
            raise
        state += f" ({stale.message})"
    plan = plan_flow(assembled, request.target, digest, wheels=wheels)
    dockerfile = render_dockerfile(plan, buildkit=request.buildkit)
    return Planned(assembled=assembled, dockerfile=dockerfile, lock_state=state)


def plan_flow(assembled: Assembled, target: Target, lock_digest: str, *, wheels: bool = False) -> ImagePlan:
    return plan_image(
        assembled.folder,
        base=assembled.base,
        target=target,
        lock_digest=lock_digest,
        variables=(
            *required_variables(assembled.connections),
            *flow_variables(assembled.flow, assembled.folder.paths),
        ),
        wheels=wheels,
    )


def context_of(
    assembled: Assembled, plan: ImagePlan, request: BuildRequest, lock: str, wheels: Sequence[Path] = ()
) -> BuildContext:
    dockerfile = render_dockerfile(plan, buildkit=request.buildkit)
    return build_context(
        assembled.folder,
        connections=assembled.connections,
        plan=plan,
        dockerfile=dockerfile,
        lock=lock,
        buildkit=request.buildkit,
        wheels=wheels,
    )


@contextlib.contextmanager
def _staging(output: Path | None) -> Iterator[Path]:
    """A folder that becomes the output once all has gone well, or a passing one where no output is wanted."""
    if output:
        with staged(output) as folder:
            yield folder
        return
    with temporary_folder("context") as folder:
        yield folder
