"""Every reader takes time in proportion to the length of what it reads, or refuses it with a place."""

from __future__ import annotations

import jinja2  # noqa: F401  (loaded once here, not in each measured process)
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import flowpack.checks.run  # noqa: F401
from flowpack.checks.registry import all_checks
from tests.hostile.growth import problem
from tests.hostile.readers import READERS, Reader, reader
from tests.hostile.shapes import SPECIAL, Frame, Shape, of_unit, units

UNITS = sorted(units())

# A shape that is found is short already, and each trial takes up to seconds.
few = settings(
    deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)


@pytest.fixture(scope="module", autouse=True)
def everything_is_loaded() -> None:
    """Before the processes part: what loading takes is not the reader's."""
    all_checks()


@settings(few, max_examples=8)
@given(data=st.data())
@pytest.mark.parametrize("reader", READERS, ids=lambda each: each.name)
def test_generated_shapes(reader: Reader, data: st.DataObject) -> None:
    shape = of_unit("".join(data.draw(st.lists(st.sampled_from(UNITS), min_size=1, max_size=3))))
    frame = data.draw(st.sampled_from(reader.frames))
    assert problem(reader, frame, shape) is None, f"{frame} with {shape.name}"


@pytest.mark.parametrize("shape", SPECIAL, ids=lambda each: each.name)
@pytest.mark.parametrize("name", ["YAML", "flow.dag.yaml", "check: a flow"])
def test_shapes_of_documents(name: str, shape: Shape) -> None:
    assert problem(reader(name), Frame(), shape) is None


WORST = [
    pytest.param("YAML", Frame("a: "), "| #", marks=pytest.mark.attack("H8")),
    pytest.param("YAML", Frame(), "> #", marks=pytest.mark.attack("super-linear: YAML | # on one line")),
    pytest.param("YAML", Frame('a: "', '"'), "| column # |", marks=pytest.mark.attack("H8")),
    pytest.param("YAML", Frame(), "%TAG !a{n}! b\n", marks=pytest.mark.attack("H8")),
    pytest.param("prompty", Frame(), "---\n", marks=pytest.mark.attack("super-linear: prompty ---")),
    pytest.param("prompty", Frame("---\nmodel: {}\n---\n"), "-", marks=pytest.mark.attack("super-linear: prompty ---")),
    pytest.param("Jinja", Frame(), "{{ a{n} }}", marks=pytest.mark.attack("super-linear: unknown names")),
    pytest.param("Jinja", Frame("{{ ", " }}"), "a{n}+", marks=pytest.mark.attack("H7")),
    pytest.param("Jinja", Frame(), "{% if a{n} %}", marks=pytest.mark.attack("H7")),
    pytest.param(
        "Python signatures",
        Frame("class A0: 0\n"),
        "class A{n}(A{m}):0\n",
        marks=pytest.mark.attack("super-linear: inheritance"),
    ),
    pytest.param(
        "check: a source",
        Frame("class A0: 0\n"),
        "class A{n}(A{m}):0\n",
        marks=pytest.mark.attack("super-linear: inheritance"),
    ),
    pytest.param(
        "Python signatures",
        Frame("@tool\ndef f(", "): pass\n"),
        "a{n}: CustomConnection,",
        marks=pytest.mark.attack("super-linear: parameters"),
    ),
    pytest.param(
        "Python imports",
        Frame("import sys\n"),
        "sys.path.append('/a{n}')\nimport b{n}\n",
        marks=pytest.mark.attack("super-linear: imports"),
    ),
    pytest.param("Python imports", Frame("import "), "a.", marks=pytest.mark.attack("super-linear: imports")),
]


@pytest.mark.parametrize(("name", "frame", "unit"), WORST)
def test_shapes_that_stalled_a_reader(name: str, frame: Frame, unit: str) -> None:
    assert problem(reader(name), frame, of_unit(unit)) is None
