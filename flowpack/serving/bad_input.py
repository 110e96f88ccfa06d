"""What promptflow 1.18.5 does not refuse of a client's input, or takes for a fault of its own and answers with 500.

The answers have promptflow's shape and go through its own handlers, so that its metrics count them as users' errors.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import filetype  # type: ignore[import-not-found]
from promptflow._utils.multimedia_utils import ImageProcessor, InvalidImageInput  # type: ignore[import-not-found]
from promptflow.core._serving._errors import BadRequest  # type: ignore[import-not-found]
from promptflow.core._serving.utils import load_request_data  # type: ignore[import-not-found]
from promptflow.exceptions import ErrorTarget  # type: ignore[import-not-found]
from werkzeug.exceptions import HTTPException  # type: ignore[import-not-found,unused-ignore]

from .images_by_url import Images
from .promptflow_modules import modules_with
from .settings import Settings

_JSON_NAMES = {
    **dict.fromkeys((int, float), "a JSON number"),
    bool: "true or false",
    list: "a JSON list",
    str: "a JSON string",
    type(None): "null",
}


def refuse_bad_input(settings: Settings) -> None:
    images = Images(settings.max_body_mb, settings.image_timeout)
    images.install()
    _refuse_what_is_not_an_object(settings.engine, images)
    _read_images_of_the_flow_alone(settings.flow)
    if settings.engine == "fastapi":
        _answer_what_starlette_cannot_write()


def refuse_in_flask(application: Any) -> None:
    """Flask's own refusals (a method that no route has, an upgrade to WebSocket) keep their status."""

    def keep_status(error: Any) -> Any:
        status = error.code or 500
        if status < 400:  # a redirect
            return error
        code = "UserError" if status < 500 else "SystemError"
        return {"error": {"code": code, "message": str(error)}}, status

    application.register_error_handler(HTTPException, keep_status)


def _refuse_what_is_not_an_object(engine: str, images: Images) -> None:
    """Text that is sent for a flow's only input stays text."""

    def load(flow: Any, raw: Any, logger: Any) -> Any:
        images.begin_request()
        try:
            data = load_request_data(flow, raw, logger)
        except UnicodeDecodeError as error:
            message = f"The request's body is not UTF-8: byte {error.start} is not valid there."
            raise BadRequest(message, target=ErrorTarget.SERVING_APP) from None
        if not isinstance(data, dict):
            message = f"The request's body is {_JSON_NAMES[type(data)]}; send an object with the flow's inputs as keys."
            raise BadRequest(message, target=ErrorTarget.SERVING_APP)
        return data

    names = {"flask": ("v1.app", "app"), "fastapi": ("v2.routers.score",)}[engine]
    for module in modules_with("load_request_data", *(f"promptflow.core._serving.{name}" for name in names)):
        module.load_request_data = load  # type: ignore[attr-defined]


def _read_images_of_the_flow_alone(flow: Path) -> None:
    """An input may name an image by its path: promptflow would read any file that a client names."""
    read = ImageProcessor.create_image_from_file
    root = flow.resolve()

    def read_of_the_flow(file: Any, mime_type: str | None = None) -> Any:
        try:
            path = Path(file).resolve()
            if root in path.parents and path.is_file() and filetype.is_image(str(path)):
                return read(path, mime_type)
        except (OSError, ValueError, RuntimeError):
            pass
        raise InvalidImageInput(
            message_format="The image '{path}' is not an image of the flow; send its data or its URL.",
            path=str(file)[:200],
            target=ErrorTarget.EXECUTOR,
        )

    ImageProcessor.create_image_from_file = staticmethod(read_of_the_flow)


def _answer_what_starlette_cannot_write() -> None:
    """Half of a surrogate pair, and numbers without an end: written as the Flask engine writes them."""
    from starlette.responses import JSONResponse  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

    class Response(JSONResponse):  # type: ignore[misc,unused-ignore]
        def render(self, content: Any) -> bytes:
            try:
                return bytes(super().render(content))
            except ValueError:  # UnicodeEncodeError is one
                return json.dumps(content, separators=(",", ":")).encode("ascii")

    names = ("routers.score", "middleware.middleware", "fastapi_response_creator")
    for module in modules_with("JSONResponse", *(f"promptflow.core._serving.v2.{name}" for name in names)):
        module.JSONResponse = Response  # type: ignore[attr-defined]
