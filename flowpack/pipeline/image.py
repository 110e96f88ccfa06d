"""The image of a build context, built and pushed by an engine. A build without an image loads none of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from flowpack.errors import EngineError
from flowpack.images.build_record import context_image
from flowpack.images.engine import find_engine
from flowpack.images.engine.model import BuiltImage, Engine, ImageBuild
from flowpack.images.image_record import write_image_record
from flowpack.images.source_labels import source_labels
from flowpack.pipeline.builds import BuildRequest, Built, ImageRequest
from flowpack.reporting import Reporter

__all__ = ["ImageBuilder", "find_engine"]


@dataclass(frozen=True, slots=True)
class ImageBuilder:
    """What is asked of an engine that has answered."""

    image: ImageRequest
    engine: Engine

    def build(self, built: Built, request: BuildRequest, folder: Path, reporter: Reporter) -> Built:
        """``built`` with the image of the context in ``folder``, pushed where that is asked for."""
        image = self.image
        wanted = ImageBuild(
            context=folder,
            tag=image.tag,
            platform=request.target.platform,
            secrets=image.secrets,
            network=request.network,
            labels=source_labels(built.assembled.flow.folder),
            pull=image.pull,
            no_cache=image.no_cache,
            buildkit=request.buildkit,
        )
        found = self._image(wanted, reporter)
        if request.output:  # `flowpack run` and `test` take this image for the output
            self.engine.tag(found, context_image(built.assembled.flow.name, built.context.digest))
        built = replace(built, image=found)
        if not image.push:
            return built
        pushed = self.engine.push(image.tag, reporter)
        write_image_record(folder, pushed, wanted.labels)
        return replace(built, pushed=pushed)

    def _image(self, wanted: ImageBuild, reporter: Reporter) -> BuiltImage:
        try:
            return self.engine.build(wanted, reporter)
        except EngineError as error:
            if error.location:  # in a folder that goes away now; the Dockerfile's own name is what stays
                error.location = replace(error.location, path=Path(error.location.path.name))
            raise
