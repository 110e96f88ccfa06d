"""A failed build as an error: the Dockerfile's line, the step's own output, and a hint where one is known."""

from __future__ import annotations

import re
from pathlib import Path

from flowpack.errors import EngineError, InputError, Location
from flowpack.images.engine.build_progress import BuildFailure, shown_step
from flowpack.reading import DOCUMENT_BYTES, read_text

_HINTS = (
    (r"no space left on device", "free space in the engine: docker system prune"),
    (
        r"pull access denied|insufficient_scope|manifest unknown|manifest for .* not found|no such host",
        "check the base image's name, and log in to its registry (docker login) if it is private",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate signed by unknown authority|certificate verify failed",
        "the network has a certificate authority of its own: give its CA bundle as a build secret (--ca-bundle FILE),"
        " or without BuildKit put it into the base image (`cert` in /etc/pip.conf)",
    ),
    (r"the --mount option requires BuildKit", "build with BuildKit, or render the Dockerfile with --no-buildkit"),
)

# What the layers of a builder put before the one message that says something.
_WRAPPINGS = re.compile(
    r"^(?:(?:ERROR|Error response from daemon|failed to (?:build|solve|create LLB definition)[^:\n]*): "
    r"|rpc error: code = \w+ desc = )+"
)


def build_error(failure: BuildFailure, dockerfile: Path) -> EngineError:
    """What stopped the build; a step's own output goes into the detail as it came."""
    verdict = _WRAPPINGS.sub("", failure.verdict)
    words = "\n".join((*failure.output, verdict))
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, words, re.I)), None)
    if failure.step is None:
        return EngineError(
            "the image was not built", location=_location(dockerfile, failure.line), detail=words, hint=hint
        )
    line = failure.line or _line_of_step(dockerfile, failure.step)
    message = f"the image was not built: '{shown_step(failure.step)}' failed"
    return EngineError(message, location=_location(dockerfile, line), detail=words, hint=hint)


def _location(dockerfile: Path, line: int | None) -> Location | None:
    return Location(dockerfile, line) if line else None


def _line_of_step(dockerfile: Path, step: str) -> int | None:
    """Where the instruction of a step is in the Dockerfile; Docker 20.10 does not say."""
    try:
        text = read_text(dockerfile, limit=DOCUMENT_BYTES, within=[dockerfile.parent.resolve()])
    except InputError:
        return None
    metadata = re.search(r"load metadata for (\S+)", step)
    if metadata:
        return _line_of_base(text, metadata[1])
    instruction = _one_line(re.sub(r"^\[[^\]]*\d+/\d+\] ", "", step))
    return next((line for line, written in instructions(text) if _one_line(written) == instruction), None)


def _line_of_base(text: str, image: str) -> int | None:
    bases = ((line, written.split()) for line, written in instructions(text) if written.upper().startswith("FROM "))
    for line, words in bases:
        named = next((word for word in words[1:] if not word.startswith("--")), "")
        if named and image in {named, f"docker.io/{named}", f"docker.io/library/{named}"}:
            return line
    return None


def instructions(text: str) -> list[tuple[int, str]]:
    """Each instruction with the line that it starts on: continued lines joined, comments and empty lines left out."""
    found: list[tuple[int, str]] = []
    open_instruction: tuple[int, str] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        start, before = open_instruction or (number, "")
        joined = before + line.rstrip().removesuffix("\\")
        if line.rstrip().endswith("\\"):
            open_instruction = (start, joined)
        else:
            found.append((start, joined))
            open_instruction = None
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())
