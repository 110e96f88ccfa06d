"""What CI does with a repository's flows: each is built, tested and, where that is asked for, pushed and deployed.

A flow that fails does not keep the others from being looked at.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from flowpack.azureml.endpoints.plan import DeployRequest, valid_name
from flowpack.azureml.endpoints.scoring import with_sample
from flowpack.azureml.limits import LONGEST_NAME
from flowpack.azureml.models.plan import ModelRequest
from flowpack.azureml.models.registry import ModelRegistry
from flowpack.azureml.workspace import Workspace
from flowpack.checks.discovery import find_places
from flowpack.ci.changed import Changes, changes_since
from flowpack.ci.results import FlowResult
from flowpack.errors import FlowpackError, InputError, UsageError, shown_path
from flowpack.flows.reader import read_flow
from flowpack.images.engine.model import Engine
from flowpack.images.image_record import write_image_record
from flowpack.images.reference import image_name
from flowpack.images.source_labels import REVISION, source_labels
from flowpack.pipeline.assemble import assemble_flow
from flowpack.pipeline.build import build
from flowpack.pipeline.builds import BuildRequest, Built, ImageRequest
from flowpack.pipeline.deploy import deploy, plan_deployment
from flowpack.pipeline.register import register
from flowpack.pipeline.serve import ServeRequest, serve
from flowpack.reporting import Reporter
from flowpack.running.scoring import sample_input, score
from flowpack.temporary import temporary_folder

_REVISION_LENGTH = 12
_NOT_TESTED = "not tested"


@dataclass(frozen=True, kw_only=True, slots=True)
class CiDeployment:
    """``pattern`` gives the endpoint's name, with ``{flow}`` to fill in."""

    workspace: Workspace
    pattern: str
    request: DeployRequest

    def endpoint_of(self, flow: str) -> str:
        """Whole: a name cut short would lose what the pattern has behind the flow's, and may be another flow's."""
        return self.pattern.replace("{flow}", valid_name(flow))


@dataclass(frozen=True, kw_only=True, slots=True)
class CiRequest:
    """``build`` says how a flow is built, ``image`` how the image of that name is; ``pattern`` gives the name, with
    ``{flow}`` and ``{revision}`` to fill in.

    ``registry`` is None where nothing is to be registered; ``deployment`` where nothing is to be deployed: it says how
    a flow is, for the endpoint of that name, and has the workspace. ``output`` keeps the builds, one a flow.
    """

    sources: Sequence[str]
    build: Callable[[Path], BuildRequest]
    image: Callable[[str], ImageRequest]
    pattern: str = "{flow}:{revision}"
    changed_since: str | None = None
    test: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    push: bool = False
    registry: ModelRegistry | None = None
    deployment: CiDeployment | None = None
    output: Path | None = None
    timeout: float = 120.0


def run_flows(request: CiRequest, engine: Callable[[], Engine], reporter: Reporter) -> tuple[FlowResult, ...]:
    flows = [place.flow for place in find_places(request.sources) if place.flow]
    names = {flow: _name(flow) for flow in flows}
    _check_apart(names)
    if request.deployment:
        _check_endpoints(names, request.deployment)
    changes = _changes(request, reporter)
    results = []
    for number, flow in enumerate(flows, 1):
        reporter.info(f"── {names[flow]} ({number} of {len(flows)}): {shown_path(flow)}")
        blank = FlowResult(flow=names[flow], source=shown_path(flow))
        if changes and not _touched(request.build(flow), changes, reporter):
            results.append(replace(blank, state="unchanged"))
            continue
        results.append(_FlowRun(request, engine, reporter, blank).result(flow))
    return tuple(results)


class _FlowRun:
    """One flow's way through the steps. Each step adds to the result, which is there when a later one fails."""

    def __init__(self, request: CiRequest, engine: Callable[[], Engine], reporter: Reporter, blank: FlowResult) -> None:
        self._request = request
        self._engine = engine
        self._reporter = reporter
        self._result = blank

    def result(self, flow: Path) -> FlowResult:
        try:
            with _output(self._request.output, self._result.flow) as output:
                self._steps(flow, output)
        except FlowpackError as error:
            self._reporter.info(f"error: {error}")
            self._result = replace(self._result, state="failed", error=str(error), exit_code=error.exit_code)
        return self._result

    def _steps(self, flow: Path, output: Path) -> None:
        built = self._build(flow, output)
        test = self._test(built) if self._request.test else "not tested: --no-test"
        self._result = replace(self._result, test=test, state="not tested" if test.startswith(_NOT_TESTED) else "done")
        pushed = self._push(built, output) if self._request.push else None
        if self._request.deployment:
            self._deploy(flow, output, pushed, self._request.deployment)
        elif self._request.registry:
            self._register(flow, output, pushed, self._request.registry)

    def _build(self, flow: Path, output: Path) -> Built:
        request = self._request
        wanted = request.image(_image_name(request.pattern, self._result.flow, flow.parent))
        asked = replace(request.build(flow), output=output)
        built = build(asked, wanted, engine=self._engine, reporter=self._reporter)
        assert built.image is not None  # noqa: S101  (an image was asked for)
        self._result = replace(
            self._result,
            flow_digest=built.assembled.folder.digest,
            image=str(built.image.reference),
            image_id=built.image.id,
            size=built.image.size,
        )
        return built

    def _test(self, built: Built) -> str:
        """A variable that was not given is no error of the flow: it is told, and nothing is tested."""
        environment = self._request.environment
        without = [name for name in built.plan.variables if not environment.get(name)]
        if without:
            return f"not tested: {', '.join(without)} not given with --env"
        try:
            sample = sample_input(built.assembled.flow)
        except InputError as error:
            if error.location:  # a broken sample, not a missing one
                raise
            return f"not tested: {error.message}"
        assert built.image is not None  # noqa: S101  (an image was asked for)
        asked = ServeRequest(environment=environment, passes_more=False, timeout=self._request.timeout)
        with serve(built.image.reference, asked, self._reporter) as served:
            scored = score(served.url, sample, self._request.timeout)
        told = f"passed in {scored.seconds:.2f} s, healthy after {served.seconds:.1f} s"
        self._reporter.info(f"test {told}")
        return told

    def _push(self, built: Built, output: Path) -> str:
        assert built.image is not None  # noqa: S101  (an image was asked for)
        pushed = self._engine().push(built.image.reference, self._reporter)
        write_image_record(output, pushed, source_labels(built.assembled.flow.folder))
        self._result = replace(
            self._result,
            reference=str(pushed),
            layers=pushed.layers,
            layers_reused=pushed.layers - pushed.new_layers,
        )
        return str(pushed)

    def _register(self, flow: Path, output: Path, pushed: str | None, registry: ModelRegistry) -> None:
        """From the build, so that the model holds what the image holds."""
        asked = replace(self._request.build(flow), source=output)
        version = register(asked, ModelRequest(image=pushed), registry, self._reporter).version
        self._result = replace(self._result, model=f"{version.name}:{version.version}")

    def _deploy(self, flow: Path, output: Path, pushed: str | None, wanted: CiDeployment) -> None:
        """A deployment registers what it runs."""
        asked = replace(self._request.build(flow), source=output)
        request = replace(wanted.request, endpoint=wanted.endpoint_of(self._result.flow))
        planned = plan_deployment(asked, ModelRequest(image=pushed), request, wanted.workspace, self._reporter)
        registered, done = deploy(with_sample(planned, {}, self._reporter), wanted.workspace, self._reporter)
        version = registered.version
        self._result = replace(
            self._result,
            state=self._result.state if done.answer is None else "done",
            model=f"{version.name}:{version.version}",
            endpoint=done.endpoint.name,
            deployment=done.deployment.name,
            scoring_uri=done.endpoint.scoring_uri,
        )


def _changes(request: CiRequest, reporter: Reporter) -> Changes | None:
    if not request.changed_since:
        return None
    changes = changes_since(request.changed_since, Path.cwd())
    if changes is None:
        reporter.warning(f"git has no revision '{request.changed_since}' here: every flow is taken")
    return changes


def _touched(request: BuildRequest, changes: Changes, reporter: Reporter) -> bool:
    try:
        path = changes.touch(assemble_flow(request).folder)
    except FlowpackError:  # the build will tell
        return True
    reporter.info(f"changed: {shown_path(path)}" if path else "unchanged")
    return path is not None


def _name(flow: Path) -> str:
    try:
        return read_flow(flow).name
    except FlowpackError:  # the build will tell
        return flow.parent.name


def _check_apart(names: Mapping[Path, str]) -> None:
    """Two flows of one name would be versions of one model and tags of one image, in turns."""
    by_name: dict[str, Path] = {}
    for flow, name in names.items():
        other = by_name.setdefault(image_name(name), flow)
        if other is not flow:
            raise UsageError(
                f"two flows are named '{name}': {shown_path(other)} and {shown_path(flow)}",
                hint="a flow has its folder's name: rename one, or run flowpack ci for each",
            )


def _check_endpoints(names: Mapping[Path, str], wanted: CiDeployment) -> None:
    """Before a flow is built: Azure takes no longer name, and two flows would replace one another in turns."""
    by_endpoint: dict[str, Path] = {}
    for flow, name in names.items():
        endpoint = wanted.endpoint_of(name)
        if len(endpoint) > LONGEST_NAME:
            raise UsageError(
                f"the endpoint of {shown_path(flow)} would be '{endpoint}': {len(endpoint)} characters, and "
                f"{LONGEST_NAME} are the most",
                hint="a shorter --endpoint pattern, or a shorter name of the flow's folder",
            )
        other = by_endpoint.setdefault(endpoint.lower(), flow)
        if other is not flow:
            raise UsageError(f"two flows have the endpoint '{endpoint}': {shown_path(other)} and {shown_path(flow)}")


def _image_name(pattern: str, name: str, folder: Path) -> str:
    revision, dash, dirty = source_labels(folder).get(REVISION, "latest").partition("-")
    tag = revision[:_REVISION_LENGTH] + dash + dirty
    return pattern.replace("{flow}", image_name(name)).replace("{revision}", tag)


@contextlib.contextmanager
def _output(kept: Path | None, name: str) -> Iterator[Path]:
    if kept:
        yield kept / image_name(name)
        return
    with temporary_folder("ci") as folder:
        yield folder / "build"
