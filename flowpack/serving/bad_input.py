"""Answers 400 where promptflow 1.18.5 takes a client's mistake for its own, and answers 500.

The answers have promptflow's shape and go through its own handler, so its metrics count them as users' errors.
"""

from __future__ import annotations

import importlib
from typing import Any


def refuse_bad_input(engine: str) -> None:
    """A body that is neither an object nor, for a flow of one input, text that stands for it."""
    from promptflow.core._serving._errors import BadRequest  # type: ignore[import-not-found]  # noqa: PLC0415
    from promptflow.core._serving.utils import load_request_data  # type: ignore[import-not-found]  # noqa: PLC0415
    from promptflow.exceptions import ErrorTarget  # type: ignore[import-not-found]  # noqa: PLC0415

    def load(flow: Any, raw: Any, logger: Any) -> Any:
        try:
            data = load_request_data(flow, raw, logger)
        except UnicodeDecodeError as error:
            message = f"The request's body is not UTF-8: byte {error.start} is not valid there."
            raise BadRequest(message, target=ErrorTarget.SERVING_APP) from None
        if not isinstance(data, dict):
            found = _JSON_NAMES.get(type(data), "something else")
            message = f"The request's body is {found}; send a JSON object with the flow's inputs as its keys."
            raise BadRequest(message, target=ErrorTarget.SERVING_APP)
        return data

    module = {"flask": "v1.app", "fastapi": "v2.routers.score"}[engine]
    importlib.import_module(f"promptflow.core._serving.{module}").load_request_data = load  # type: ignore[attr-defined]


def refuse_in_flask(application: Any) -> None:
    """Flask's own refusals (a method that no route has, an upgrade to WebSocket) keep their status."""
    from werkzeug.exceptions import HTTPException  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

    def keep_status(error: Any) -> Any:
        status = error.code or 500
        if status < 400:  # a redirect
            return error
        code = "UserError" if status < 500 else "SystemError"
        return {"error": {"code": code, "message": str(error)}}, status

    application.register_error_handler(HTTPException, keep_status)


_JSON_NAMES = {list: "a JSON list", str: "a JSON string", int: "a JSON number", float: "a JSON number", bool: "true or false"}
