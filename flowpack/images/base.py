"""The image that a flow's image starts from: an image by name, or the stages of a ``Dockerfile.base``.

``environment.image`` and a ``Dockerfile.base`` come with the flow, so whoever may change the flow chooses them. Neither
adds an instruction to what flowpack writes, and neither asks for a secret of the build. What runs in the base can still
read what the install step reads, since that step runs the base's own Python: a pip configuration with a password is
given to a base of the project only where the user trusts it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowpack.errors import InputError, Location, UsageError, scrub
from flowpack.images.reference import ImageReference
from flowpack.quoting import dockerfile_comment
from flowpack.reading import DOCUMENT_BYTES, Roots, read_text

BASE_FILE = "Dockerfile.base"
OWN_STAGES = frozenset({"base", "dependencies", "launcher", "flow"})
OWN_PREFIX = "flowpack"
"""No stage of a Dockerfile.base is named so, and no cache that it mounts: those are what flowpack's own steps use."""

_FROM = r"(?i)^(?P<head>\s*FROM\s+(?:--\S+\s+)*\S+)(?P<name>\s+AS\s+(?P<stage>\S+))?\s*$"
_DIRECTIVE = r"(?i)#\s*(?P<name>syntax|escape|check)\s*="
_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]"
_LONG_FLAG = r"(?:^|(?<=\s))--\S+"
_PLAIN_MOUNT = r"--mount=[\w=,./:@+-]+"
_OF_THE_COMMAND_LINE, _OWN = "--base-image", f"flowpack's own {BASE_FILE}"
_TRUST = "--base-image to start from an image of your own, or --trust-base where you trust who may change the flow"


@dataclass(frozen=True, slots=True)
class Base:
    """Dockerfile lines whose last stage is named ``base``; ``origin`` names their source alike on any machine.

    ``chosen_at`` is where the flow's project chooses it; None where the user did, or nobody.
    """

    lines: tuple[str, ...]
    origin: str
    chosen_at: Location | None = None

    @classmethod
    def of_image(cls, image: str, origin: str) -> Base:
        ImageReference.parse(image)
        if image == "scratch":
            raise UsageError("'scratch' is an empty image", hint="start from an image with a Python")
        return cls((f"FROM {image} AS base",), origin)

    @classmethod
    def of_environment(cls, image: str, location: Location | None) -> Base:
        """``environment.image``: a reference to an image, and nothing else."""
        try:
            return cls(cls.of_image(image, "").lines, "the flow's environment.image", location)
        except UsageError as error:
            raise InputError(f"environment.image: {error.message}", location=location, hint=error.hint) from error

    @classmethod
    def of_file(cls, path: Path, origin: str, *, within: Roots | None = None, trusted: bool = True) -> Base:
        text = read_text(path, limit=DOCUMENT_BYTES, within=within)
        lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
        stages = {number: match for number, line in enumerate(lines) if (match := re.match(_FROM, line))}
        if not stages:
            raise InputError("has no FROM instruction", location=Location(path))
        last = max(stages)
        if stages[last]["name"]:
            raise InputError(
                "the last stage has a name of its own",
                location=Location(path, last + 1),
                hint="flowpack names it 'base'",
            )
        _check_form(lines, path)
        for number, match in stages.items():
            stage = (match["stage"] or "").lower()
            if stage in OWN_STAGES or stage.startswith(OWN_PREFIX):
                raise InputError(
                    f"'{match['stage']}' is the name of one of flowpack's own stages",
                    location=Location(path, number + 1, match.start("stage") + 1),
                    hint="name the stage otherwise",
                )
        if not trusted:
            _check_mounts(lines, path)
        lines[last] = stages[last]["head"] + " AS base"
        return cls(tuple(lines), origin, None if within is None else Location(path))


def find_base(
    *,
    base_image: str | None,
    environment_image: str | None,
    flow_folder: Path,
    root: Path,
    image_location: Location | None = None,
    trusted: bool = False,
) -> Base:
    """``--base-image``, else the flow's ``environment.image``, else the nearest Dockerfile.base up to ``root``.

    ``trusted`` is what the user says of the project that the flow is in.
    """
    if base_image:
        return Base.of_image(base_image, _OF_THE_COMMAND_LINE)
    if environment_image:
        return Base.of_environment(environment_image, image_location)
    for folder in (flow_folder, *flow_folder.parents):
        if (folder / BASE_FILE).is_file():
            path = folder / BASE_FILE
            origin = path.relative_to(root).as_posix() if folder.is_relative_to(root) else BASE_FILE
            return Base.of_file(path, origin, within=(root.resolve(),), trusted=trusted)
        if folder == root:
            break
    return Base.of_file(_own_base_file(), _OWN)


def check_trusted(base: Base, pip_config: Path | None) -> None:
    """Refuses to show a password to a base that the flow's project chose."""
    if base.chosen_at is not None and pip_config is not None:
        _refuse_credentials(pip_config, base.chosen_at)


def check_trusted_build(dockerfile: Path, pip_config: Path | None) -> None:
    """The same for what ``flowpack build`` wrote earlier, by the line that says which base it took."""
    if pip_config is None:
        return
    lines = read_text(dockerfile, limit=DOCUMENT_BYTES, within=None).split("\n", 2)
    if lines[1:2] not in ([dockerfile_comment(f"base: {origin}")] for origin in (_OF_THE_COMMAND_LINE, _OWN)):
        _refuse_credentials(pip_config, Location(dockerfile, 2))


def _refuse_credentials(pip_config: Path, where: Location) -> None:
    config = read_text(pip_config, limit=DOCUMENT_BYTES, within=None)
    if scrub(config) != config:
        raise InputError(
            f"this base could read the credentials in {pip_config.name}, which the install step is given",
            location=where,
            hint=_TRUST,
        )


def _check_form(lines: Sequence[str], path: Path) -> None:
    """What would be read otherwise between flowpack's own lines than in a file of its own."""
    at_the_top = open_instruction = False
    for number, line in enumerate(lines, start=1):
        control = re.search(_CONTROL, line)
        if control:
            raise InputError("has a control character", location=Location(path, number, control.start() + 1))
        directive = re.match(_DIRECTIVE, line) if number == 1 or at_the_top else None
        at_the_top = directive is not None
        if directive:
            name = directive["name"].lower()
            raise InputError(
                f"the directive '{name}' has no effect behind the first lines of a Dockerfile, which are flowpack's",
                location=Location(path, number),
                hint="take the line out",
            )
        if line.strip() and not line.lstrip().startswith("#"):
            open_instruction = line.rstrip().endswith("\\")
    if open_instruction:
        raise InputError(
            "the last instruction goes on in a line that is not there",
            location=Location(path, len(lines)),
            hint="take out the backslash at its end",
        )


def _check_mounts(lines: Sequence[str], path: Path) -> None:
    """Looks at every line, also within texts of a script: nothing that is written around a mount hides it."""
    for number, flag in _flags(lines):
        if not re.sub(r"[\\\"']", "", flag).lower().startswith("--mount"):
            continue
        fields = dict(field.partition("=")[::2] for field in flag.partition("=")[2].lower().split(","))
        kind = fields.get("type", "bind")
        if re.fullmatch(_PLAIN_MOUNT, flag) is None or kind not in {"bind", "cache", "tmpfs"}:
            what = f"a {kind}" if kind in {"secret", "ssh"} else "something that flowpack cannot tell"
            raise InputError(f"'{flag}' mounts {what} of the build", location=Location(path, number), hint=_TRUST)
        if fields.get("id", "").startswith(OWN_PREFIX) or fields.get("from", "").startswith(OWN_PREFIX):
            raise InputError(
                f"'{flag}' mounts what flowpack's own steps use",
                location=Location(path, number),
                hint="give the cache an id of your own",
            )


def _flags(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Words that begin with two dashes, in lines as they are and in continued lines joined."""
    joined, first = "", 1
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith("#") or not line.strip():  # BuildKit passes over both within an instruction
            continue
        first = first if joined else number
        yield from ((number, match[0]) for match in re.finditer(_LONG_FLAG, line))
        text = line.rstrip()
        if text.endswith("\\"):
            joined += text[:-1]
            continue
        if joined:
            yield from ((first, match[0]) for match in re.finditer(_LONG_FLAG, joined + line))
        joined = ""


def _own_base_file() -> Path:
    """In an installed flowpack the file is in this package; in a checkout it is at the top level."""
    packaged = Path(__file__).parent / BASE_FILE
    return packaged if packaged.is_file() else Path(__file__).parents[2] / BASE_FILE
