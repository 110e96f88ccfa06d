"""A Docker engine through its API. The ``docker`` program is started for BuildKit builds alone, on the same engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import docker
import requests
from docker.errors import APIError, BuildError, DockerException, ImageNotFound, NotFound

from flowpack import process
from flowpack.errors import EngineError, UsageError, scrub
from flowpack.images.engine.build_failure import build_error
from flowpack.images.engine.build_progress import BuildKitEvents, BuildKitProgress, BuildProgress, ClassicProgress
from flowpack.images.engine.builders import Builder, find_builder
from flowpack.images.engine.containers import DockerContainer, create_container
from flowpack.images.engine.credentials import credentials_for
from flowpack.images.engine.endpoint import Endpoint, connect, explanation, find_endpoint, streaming
from flowpack.images.engine.model import BuiltImage, ContainerRequest, ImageBuild, PushedImage
from flowpack.images.engine.push import push_image
from flowpack.images.reference import ImageReference
from flowpack.process import Run
from flowpack.reporting import SILENT, Reporter, Task
from flowpack.temporary import temporary_folder

_FAULTS = (DockerException, requests.RequestException, OSError)


class DockerEngine:
    def __init__(
        self,
        endpoint: Endpoint,
        api: docker.APIClient,
        *,
        run: Run = process.run,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.endpoint = endpoint
        self.api = api
        self._run = run
        self._sleep = sleep

    @classmethod
    def find(cls, run: Run = process.run) -> DockerEngine:
        endpoint = find_endpoint()
        return cls(endpoint, connect(endpoint), run=run)

    def __str__(self) -> str:
        return f"Docker engine {self.version}"

    @cached_property
    def version(self) -> str:
        return str(self.api.version().get("Version", "of an unknown version"))

    @property
    def hostname(self) -> str | None:
        return self.endpoint.hostname

    @cached_property
    def _patient(self) -> docker.APIClient:
        return streaming(self.api, self.endpoint)

    @cached_property
    def _builder(self) -> Builder:
        return find_builder(self._run, self.endpoint)

    def build(self, build: ImageBuild, reporter: Reporter = SILENT) -> BuiltImage:
        if not build.buildkit:
            return self._build_classic(build, reporter)
        builder = self._builder
        progress: BuildProgress = BuildKitEvents() if builder.tells_json else BuildKitProgress()
        doing = f"building {build.tag} with {builder.description}"
        with temporary_folder("build") as scratch, reporter.task(doing) as task:
            id_file = scratch / "id"
            command = (*builder.command, *_options(build, builder, id_file), str(build.context.absolute()))
            follow = _Followed(progress, reporter, task)
            done = self._run(command, env=builder.environment, on_line=follow.line)
            if done.returncode != 0:
                raise build_error(progress.failure(), build.context / "Dockerfile")
            task.finish(f"built {build.tag}")
            built_id = id_file.read_text("utf-8").strip() if id_file.exists() else None
        return self._built(build.tag, built_id)

    def _build_classic(self, build: ImageBuild, reporter: Reporter) -> BuiltImage:
        """The builder from before BuildKit, which the engine itself has: no mounts, no secrets."""
        if build.secrets:
            raise UsageError(
                f"build secrets ({', '.join(sorted(build.secrets))}) need BuildKit",
                hint="leave out --no-buildkit, or give the builder what it needs without a secret",
            )
        progress = ClassicProgress()
        built_id = None
        with reporter.task(f"building {build.tag} with the classic builder of {self}") as task:
            follow = _Followed(progress, reporter, task)
            try:
                for event in self._patient.build(
                    path=str(build.context.absolute()),
                    tag=str(build.tag),
                    buildargs=dict(build.build_args),
                    labels=dict(build.labels),
                    network_mode=build.network,
                    platform=str(build.platform),
                    pull=build.pull,
                    nocache=build.no_cache,
                    rm=True,
                    forcerm=True,  # else the container of a failed step stays behind
                    decode=True,
                ):
                    if "error" in event:
                        follow.line(str(event["error"]))
                        raise build_error(progress.failure(), build.context / "Dockerfile")
                    built_id = (event.get("aux") or {}).get("ID", built_id)
                    for line in str(event.get("stream", "")).splitlines():
                        follow.line(line)
            except (APIError, BuildError) as error:
                follow.line(explanation(error))
                raise build_error(progress.failure(), build.context / "Dockerfile") from error
            except _FAULTS as error:
                raise self._gone(f"it built {build.tag}", error) from error
            task.finish(f"built {build.tag}")
        return self._built(build.tag, built_id)

    def inspect(self, reference: ImageReference) -> BuiltImage | None:
        return self._inspect(str(reference), reference)

    def tag(self, image: BuiltImage, reference: ImageReference) -> None:
        try:
            self.api.tag(image.id, reference.name, tag=reference.tag or "latest")
        except _FAULTS as error:
            raise EngineError(f"the engine did not tag {image.reference}", detail=explanation(error)) from error

    def push(self, reference: ImageReference, reporter: Reporter = SILENT) -> PushedImage:
        return push_image(self._patient, reference, reporter, sleep=self._sleep)

    def create(self, request: ContainerRequest, reporter: Reporter = SILENT) -> DockerContainer:
        try:
            return create_container(self.api, self._patient, request)
        except ImageNotFound:
            self._pull(ImageReference.parse(request.image), reporter)
            return create_container(self.api, self._patient, request)

    def _pull(self, reference: ImageReference, reporter: Reporter) -> None:
        tag = reference.tag if reference.digest is None else str(reference.digest)
        login = credentials_for(reference.registry, self._run)
        with reporter.task(f"pulling {reference}", "bytes") as task:
            try:
                events = self._patient.pull(
                    reference.name, tag=tag or "latest", stream=True, decode=True, auth_config=login
                )
                refusal = _pulled(events, task)
            except APIError as error:
                refusal = explanation(error)
            except _FAULTS as error:
                raise self._gone(f"it pulled {reference}", error) from error
            if refusal:
                raise EngineError(
                    f"the engine has no image {reference}, and cannot pull it",
                    detail=refusal,
                    hint="build it first: flowpack build SOURCE --tag IMAGE",
                )
            task.finish(f"pulled {reference}")

    def _built(self, tag: ImageReference, built_id: str | None) -> BuiltImage:
        # By its ID first: another build may have taken the tag in the meantime. A builder outside the engine may
        # know the image by another ID than the engine that it was loaded into.
        image = (self._inspect(built_id, tag) if built_id else None) or self._inspect(str(tag), tag)
        if image is None:
            raise EngineError(f"the builder ended well, but the engine has no image {tag}")
        return image

    def _inspect(self, name: str, reference: ImageReference) -> BuiltImage | None:
        try:
            told: Any = self.api.inspect_image(name)  # type: ignore[no-untyped-call]
        except NotFound:
            return None
        except _FAULTS as error:
            raise EngineError(f"the engine did not tell about {reference}", detail=explanation(error)) from error
        return BuiltImage(id=told["Id"], reference=reference, size=int(told["Size"]))

    def _gone(self, what: str, error: BaseException) -> EngineError:
        return EngineError(f"the engine went away while {what}", detail=str(error), hint="start the engine again")


class _Followed:
    """Reports each step that ends, and what the builder does at the moment."""

    def __init__(self, progress: BuildProgress, reporter: Reporter, task: Task) -> None:
        self._progress = progress
        self._reporter = reporter
        self._task = task

    def line(self, text: str) -> None:
        for ended in self._progress.line(text, time.monotonic()):
            self._reporter.info(scrub(str(ended)))
        self._task.detail(scrub(self._progress.doing))


def _pulled(events: Iterable[Mapping[str, Any]], task: Task) -> str | None:
    """The registry's refusal, where there is one."""
    layers: dict[str, tuple[int, int]] = {}
    for event in events:
        if "error" in event:
            return str((event.get("errorDetail") or {}).get("message") or event["error"])
        progress = event.get("progressDetail") or {}
        if event.get("status") == "Downloading" and progress.get("total"):
            layers[str(event.get("id"))] = (int(progress.get("current", 0)), int(progress["total"]))
            task.advance(sum(done for done, _ in layers.values()), sum(size for _, size in layers.values()))
    return None


def _options(build: ImageBuild, builder: Builder, id_file: Any) -> list[str]:
    options = [f"--tag={build.tag}", f"--platform={build.platform}", f"--iidfile={id_file}"]
    options.append(f"--progress={'rawjson' if builder.tells_json else 'plain'}")
    options += [f"--secret={_secret(name, str(path.absolute()))}" for name, path in sorted(build.secrets.items())]
    options += [f"--build-arg={name}={value}" for name, value in sorted(build.build_args.items())]
    options += [f"--label={name}={value}" for name, value in sorted(build.labels.items())]
    if build.network:
        options.append(f"--network={build.network}")
    return options + ["--pull"] * build.pull + ["--no-cache"] * build.no_cache


def _secret(name: str, path: str) -> str:
    """The option's value is one line of CSV: a path with a comma or a quote in it is quoted."""
    source = f"src={path}"
    if "," in source or '"' in source:
        source = '"' + source.replace('"', '""') + '"'
    return f"id={name},{source}"
