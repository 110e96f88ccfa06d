"""Reports link to pages at an address of the tests' own, whatever this installation of flowpack says."""

from __future__ import annotations

import pytest

from flowpack.checks import pages


@pytest.fixture(autouse=True)
def documentation_of_the_tests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_documentation" not in request.keywords:
        monkeypatch.setattr(pages, "documentation", lambda: "https://docs.example/")
