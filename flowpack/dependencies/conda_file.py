"""Reads a flow's ``conda_file``: its Python version and its pip section. flowpack's images have no conda.

Source: conda's environment.yml. ``=3.10`` allows any 3.10; ``==`` and the other operators mean the same as for pip.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from flowpack.dependencies.passed_variables import VARIABLE
from flowpack.dependencies.requirement_lines import (
    LONG_NUMBER,
    REQUIREMENT_CHARACTERS,
    RequirementLine,
    parse_requirement,
    shortened,
)
from flowpack.dependencies.requirements import MOST_REQUIREMENTS, Requirements
from flowpack.dependencies.target import Target
from flowpack.documents.yaml_documents import Value, read_document
from flowpack.errors import RequirementsError
from flowpack.reading import Roots

_PACKAGE = re.compile(r"^(?:[\w.-]+::)?(?P<name>[\w.-]+)\s*(?P<version>.*)$")
_OF_THE_IMAGE = {"pip", "setuptools", "wheel"}


def with_conda_file(
    requirements: Requirements, name: str, files: Mapping[str, Path], target: Target, within: Roots | None = None
) -> Requirements:
    """Adds the requirements of the file's pip section. RequirementsError for what only conda could install."""
    document = read_document(files[name], within=within)
    fields = document.root.mapping("a conda environment: a mapping with dependencies")
    lines: list[RequirementLine] = []
    for item in fields["dependencies"].sequence() if "dependencies" in fields else []:
        if item.is_mapping:
            lines += islice(_pip_section(item, name), MOST_REQUIREMENTS + 1 - len(lines))
        else:
            _check_package(item, target)
    location = requirements.location or document.root.location
    if len(lines) > MOST_REQUIREMENTS:
        raise RequirementsError(f"there are more than {MOST_REQUIREMENTS} requirements", location=location)
    places = {line.url: line.location for line in lines if line.url and VARIABLE.search(line.url)}
    return replace(
        requirements,
        lines=(*requirements.lines, *lines),
        location=location,
        places={**places, **requirements.places},
    )


def _pip_section(item: Value, name: str) -> Iterator[RequirementLine]:
    for key, section in item.mapping().items():
        if key != "pip":
            raise RequirementsError(f"'{key}' is not a section of a conda environment", location=section.location)
        for line in section.sequence("a list of requirements"):
            text = line.string("a requirement")
            if text.startswith("-"):
                raise RequirementsError(
                    f"'{shortened(text)}' is an option, but only requirements are read here",
                    location=line.location,
                    hint="move it to the flow's requirements file (environment.python_requirements_txt)",
                )
            yield parse_requirement(text, location=line.location, source=name)


def _check_package(item: Value, target: Target) -> None:
    text = item.string("a package")
    if len(text) > REQUIREMENT_CHARACTERS or LONG_NUMBER.search(text):
        raise RequirementsError(f"'{shortened(text)}' is too long for a package", location=item.location)
    match = _PACKAGE.match(text.strip())
    package = match["name"].lower() if match else text
    if package == "python" and match:
        _check_python(item, match["version"].replace(" ", ""), target)
    elif package not in _OF_THE_IMAGE:
        raise RequirementsError(
            f"'{shortened(text)}' needs conda, which flowpack's images do not have",
            location=item.location,
            hint="move it to the pip section if the index has it, else use a base image that has it (--base-image)",
        )


def _check_python(item: Value, version: str, target: Target) -> None:
    one = re.fullmatch(r"==?(3\.\d+)(?:\.[\d*]+)?", version)  # the base image decides the patch version
    try:
        fits = one[1] == target.python if one else SpecifierSet(version).contains(f"{target.python}.99")
    except (InvalidSpecifier, ValueError):
        raise RequirementsError(f"'{version}' is not a Python version", location=item.location) from None
    if not fits:
        minor = re.search(r"3\.\d+", version)
        raise RequirementsError(
            f"the flow requires python{version}, but the image has Python {target.python}",
            location=item.location,
            hint=f"build with --python {minor[0]}" if minor else None,
        )
