"""Image references and digests: strings from a command line or a file are parsed here once, and travel as values.

The grammar is Docker's and OCI's own: ``[registry[:port]/]repository[:tag][@algorithm:hex]``, where a first component
is a registry if it has a dot or a port, or is ``localhost``; else the registry is Docker Hub.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from flowpack.errors import UsageError

DOCKER_HUB = "docker.io"
_OFFICIAL = "library/"

_HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_HOST_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = re.compile(rf"(?:{_HOST_LABEL}(?:\.{_HOST_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_IMAGE_ID = re.compile(r"[a-f0-9]{64}")


@dataclass(frozen=True, slots=True)
class Digest:
    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        algorithm, _, hexadecimal = text.partition(":")
        length = _HEX_LENGTHS.get(algorithm)
        if length is None or not re.fullmatch(rf"[a-f0-9]{{{length}}}", hexadecimal):
            raise UsageError(
                f"'{text}' is not a digest", hint="a digest is 'sha256:' and 64 lower-case hexadecimal digits"
            )
        return cls(algorithm, hexadecimal)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


@dataclass(frozen=True, slots=True)
class ImageReference:
    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Reads a reference as Docker does; raises UsageError with what to write instead."""
        if not text or text != text.strip() or any(character.isspace() for character in text):
            raise _bad(text, "write it as registry/repository:tag, without spaces")
        if "://" in text:
            raise _bad(text, f"leave out the scheme: '{text.partition('://')[2]}'")
        named, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        name, tag = _split_tag(text, named)
        registry, repository = _split_registry(text, name)
        _check_repository(text, registry, repository)
        return cls(registry, repository, tag, digest)

    def __str__(self) -> str:
        """The familiar form, as Docker prints it; parsing it gives the same reference."""
        familiar = self.name
        if self.registry == DOCKER_HUB:
            bare = self.repository.removeprefix(_OFFICIAL)
            familiar = self.repository if "/" in bare else bare
            if _is_registry(self.repository.partition("/")[0]) and "/" in self.repository:
                familiar = self.name
        return familiar + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def name(self) -> str:
        """Registry and repository, written out: ``docker.io/library/python``."""
        return f"{self.registry}/{self.repository}"

    def with_digest(self, digest: Digest) -> str:
        """The reference that names these bytes for ever: ``registry/repository@sha256:…``."""
        return f"{self.name}@{digest}"

    def tagged(self) -> ImageReference:
        """With the tag that an engine would assume, so that none of them pushes all tags of a repository."""
        return self if self.tag else replace(self, tag="latest")


def _split_tag(text: str, named: str) -> tuple[str, str | None]:
    """A colon after the last slash starts the tag; before it, it belongs to the registry's port."""
    slash, colon = named.rfind("/"), named.rfind(":")
    if colon <= slash:
        return named, None
    name, tag = named[:colon], named[colon + 1 :]
    if not _TAG.fullmatch(tag):
        raise _bad(text, "a tag has up to 128 letters, digits, '_', '.' and '-', and starts with none of '.' and '-'")
    return name, tag


def _split_registry(text: str, name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and _is_registry(first):
        if not _REGISTRY.fullmatch(first):
            raise _bad(text, f"'{first}' is not a host name with an optional port")
        registry = DOCKER_HUB if first == "index.docker.io" else first
        return registry, _OFFICIAL + rest if registry == DOCKER_HUB and "/" not in rest else rest
    return DOCKER_HUB, name if slash else _OFFICIAL + name


def _is_registry(first: str) -> bool:
    return "." in first or ":" in first or first == "localhost"


def _check_repository(text: str, registry: str, repository: str) -> None:
    familiar = repository.removeprefix(_OFFICIAL) if registry == DOCKER_HUB else repository
    if re.search("[A-Z]", repository):
        raise _bad(text, f"repository names are lower-case: '{text.replace(familiar, familiar.lower(), 1)}'")
    if not _REPOSITORY.fullmatch(repository):
        raise _bad(
            text,
            "a repository is lower-case letters and digits, with '.', '_' or '-' between them, in parts divided by '/'",
        )
    if len(registry) + 1 + len(repository) > 255:
        raise _bad(text, "registry and repository together have at most 255 characters")
    if registry == DOCKER_HUB and _IMAGE_ID.fullmatch(familiar):
        raise _bad(text, "64 hexadecimal digits are an image ID; give the image a name")


def _bad(text: str, hint: str) -> UsageError:
    return UsageError(f"'{text}' is not an image reference", hint=hint)


def image_name(flow: str) -> str:
    """A flow's name as a part of an image's name: lower case, with a hyphen for what an image's may not have."""
    return re.sub(r"[^a-z0-9]+", "-", flow.lower()).strip("-") or "flow"
