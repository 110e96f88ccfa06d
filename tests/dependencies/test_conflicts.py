"""What resolvers say, as they said it, and whose fault it is."""

from __future__ import annotations

import pytest

from flowpack.dependencies.conflicts import blames_known_good, explain
from flowpack.dependencies.known_good import Bound
from flowpack.dependencies.resolvers import Question, UnresolvedError
from flowpack.dependencies.serving_needs import ServingRequirement
from flowpack.dependencies.target import Target
from flowpack.errors import FlowpackError, RequirementsError, ToolError
from flowpack.process import Completed
from tests.dependencies.conftest import Read

REFUSED = "flowpack: an index did not answer: Could not fetch URL https://example.org/simple"
CORE = ServingRequirement("promptflow-core==1.18.5", "promptflow-core", "it serves the flow")


def question(read: Read, text: str = "flask\nwerkzeug<2\n-c pins.txt", bounds: tuple[Bound, ...] = ()) -> Question:
    return Question(
        requirements=read(text, pins="anyio<4"),
        serving=(CORE,),
        bounds=bounds,
        target=Target.parse("3.11", "linux/amd64"),
    )


def unresolved(words: str, status: int = 1) -> UnresolvedError:
    return UnresolvedError(Completed(("uv",), status, "", words), words)


def explained(read: Read, words: str, status: int = 1) -> FlowpackError:
    return explain(unresolved(words, status), question(read), "uv 1")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("error: Request failed after 3 retries\n  cause: Failed to fetch: https://example.org/simple/flask/", 2),
        ("error: HTTP status server error (503 Service Unavailable) for url (https://example.org/flask/)", 2),
        ("error: No solution found\n\nhint: An index (https://x) returned a 403 Forbidden error.", 1),
        ("error: invalid peer certificate: UnknownIssuer", 2),
        (
            f"{REFUSED}/flask/: 401 Client Error - skipping\nERROR: No matching distribution found for flask",
            1,
        ),
        ("flowpack: an index did not answer: HTTPSConnectionPool: Read timed out.", 1),
    ],
)
def test_an_unreachable_index_is_outside(read: Read, words: str, status: int) -> None:
    error = explained(read, words, status)
    assert type(error) is ToolError
    assert error.detail == words


def test_an_index_that_refuses_another_project_has_no_part_in_a_conflict(read: Read) -> None:
    words = f"{REFUSED}/click/: 403 Client Error - skipping\nERROR: No matching distribution found for flask"
    assert type(explained(read, words)) is RequirementsError


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("Because there is no version of werkzeug<2 and you require werkzeug<2, we can conclude", 2),
        ("Because flask depends on werkzeug>3 and you require werkzeug<2, we can conclude", 2),
        ("ERROR: No matching distribution found for Werkzeug<2", 2),
        ("ERROR: Could not find a version that satisfies the requirement flask (from versions: none)", 1),
        ("error: Failed to build `werkzeug==1.0`", 2),
        ("something about Flask", 1),
        ("something about anyio", 1),
    ],
)
def test_the_line_is_that_of_the_package_named(read: Read, words: str, line: int) -> None:
    error = explained(read, words)
    assert type(error) is RequirementsError
    assert error.location is not None
    assert error.location.line == line
    assert error.location.path.name == ("pins.txt" if "anyio" in words else "requirements.txt")


def test_without_a_name_the_first_line_is_meant(read: Read) -> None:
    error = explained(read, "no way")
    assert error.message == "the requirements do not resolve for Python 3.11 on linux/amd64"
    assert str(error.location).endswith("requirements.txt:1")


def test_places_of_the_resolvers_own_input_become_the_users(read: Read) -> None:
    error = explained(read, "ERROR: Cannot install -r requirements.in (line 2) and -r requirements.in (line 3) because")
    assert (
        error.detail == "ERROR: Cannot install werkzeug<2 (requirements.txt line 2) and flowpack, for serving because"
    )
    assert error.location is not None
    assert error.location.line == 2


@pytest.mark.parametrize(
    ("words", "status"),
    [("error: unexpected argument '--x' found", 2), ("", 1), ("Traceback (most recent call last):", 1)],
)
def test_a_resolver_that_breaks_is_outside(read: Read, words: str, status: int) -> None:
    assert type(explained(read, words, status)) is ToolError


def test_known_good_bounds_are_blamed_where_they_are_named(read: Read) -> None:
    tested = (
        Bound(requirement="openai<=3", because="seen", is_needed=False),
        Bound(requirement="fastapi<=1", because="seen", is_needed=False),
    )
    asked = question(read, bounds=(*tested, Bound(requirement="httpx<1", because="it fails")))
    assert blames_known_good(unresolved("you require openai<=3"), asked)
    assert not blames_known_good(unresolved("you require flask"), asked)
    assert not blames_known_good(unresolved("you require httpx>=1"), asked)
    assert not blames_known_good(unresolved("Request failed after 3 retries: openai"), asked)
