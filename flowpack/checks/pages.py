"""The documentation page of each rule: its address, and its text as shipped with flowpack.

The pages are ``docs/reference/rules/<code>.md``. A wheel carries a copy in ``flowpack/checks/pages``; an editable
installation reads them from the checkout.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from posixpath import join, normpath

from flowpack.checks.findings import Rule
from flowpack.checks.registry import all_rules
from flowpack.errors import Location, OutsideError, UsageError, nearest

_HERE = "reference/rules"
_SHIPPED = Path(__file__).parent / "pages"
_CHECKOUT = Path(__file__).parents[2] / "docs" / _HERE

_DOCUMENTATION = re.compile(r"^Project-URL: Documentation, (\S+)$", re.M)
_LINK = re.compile(r"\]\((?P<path>[^):#]+)\.md(?P<anchor>#[^)]*)?\)")
_FENCE = re.compile(r'^(```\w+) title="([^"]+)"$', re.M)


@cache
def documentation() -> str | None:
    """The address of the documentation, with a slash at its end: ``[project.urls]`` of pyproject.toml.

    None if flowpack is installed without that metadata.
    """
    for folder in map(Path, sys.path):
        # importlib.metadata finds it too, and takes some 20 ms to load.
        for path in folder.glob("flowpack-*.dist-info/METADATA"):
            found = _DOCUMENTATION.search(path.read_text(encoding="utf-8"))
            if found:
                return found[1].rstrip("/") + "/"
    return None


def page_url(code: str) -> str | None:
    return _address(f"{_HERE}/{code}")


def find_rule(name: str) -> Rule:
    """The rule with this code or name. Raises UsageError, with the nearest one as a hint, if there is none."""
    known = {key: rule for rule in all_rules() for key in (rule.code, rule.name)}
    for key in (name.upper(), name.lower()):
        if key in known:
            return known[key]
    near = nearest(name.upper(), (rule.code for rule in all_rules())) if name[:2].upper() == "FP" else None
    near = near or nearest(name.lower(), known)
    hint = f"did you mean '{near}'?" if near else "give a code or a name from a finding, such as FP103"
    raise UsageError(f"no rule has the code or the name '{name}'", hint=hint)


def page_of(rule: Rule) -> str:
    """The page as Markdown that can be read anywhere: links to other pages are absolute."""
    name = f"{rule.code}.md"
    folder = _SHIPPED if _SHIPPED.is_dir() else _CHECKOUT
    try:
        text = (folder / name).read_text(encoding="utf-8")
    except OSError as error:
        raise OutsideError(
            f"the page of {rule.code} cannot be read: {error.strerror}",
            location=Location(folder / name),
            hint="install flowpack again",
        ) from error
    return _LINK.sub(_whole_link, _FENCE.sub(r"`\2`:\n\n\1", text))


def _whole_link(match: re.Match[str]) -> str:
    address = _address(normpath(join(_HERE, match["path"])))
    return f"]({address}{match['anchor'] or ''})" if address else match[0]


def _address(page: str) -> str | None:
    base = documentation()
    return f"{base}{page}/" if base else None
