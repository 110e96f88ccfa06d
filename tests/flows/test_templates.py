"""What a template needs is what Jinja itself would look up, found without generating code or folding constants."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from jinja2 import Environment, TemplateSyntaxError, meta

from flowpack.flows.templates import MAXIMUM_CODE, TemplateProblem, read_template

quick = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))

names = st.sampled_from(["a", "b", "c", "range"])
# Names that Jinja gives a scope: it has rules of its own for templates that set them.
special = st.sampled_from(["loop", "caller", "self", "super", "varargs", "kwargs"])
expressions = st.recursive(
    names | special | st.sampled_from(["1", "'text'", "[]"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(" + ".join),
        st.tuples(inner, inner).map(lambda each: f"{each[0]}[{each[1]}]"),
        inner.map(lambda each: f"{each} | default(b)"),
        inner.map(lambda each: f"{each} | upper"),
        inner.map(lambda each: f"f(x={each})"),
        st.tuples(inner, inner).map(lambda each: f"({each[0]} if {each[1]} else 0)"),
    ),
    max_leaves=4,
)


@st.composite
def templates(draw: st.DrawFn, depth: int = 2) -> str:
    kinds = (
        ["value", "set"]
        if depth == 0
        else [
            *(
                "value",
                "set",
                "if",
                "if-else",
                "elif",
                "for",
                "for-if",
                "for-else",
                "with",
                "macro",
                "call",
                "filter",
                "set-block",
            ),
            *("scope", "import", "import-from", "namespace", "block"),
        ]
    )
    parts = []
    for _ in range(draw(st.integers(1, 2))):
        name, other = draw(names), draw(expressions)
        body, more = (draw(templates(depth - 1)), draw(templates(depth - 1))) if depth else ("", "")
        number = draw(st.integers(0, 10**9))
        parts.append(
            {
                "value": f"{{{{ {other} }}}}",
                "set": f"{{% set {name} = {other} %}}",
                "if": f"{{% if {other} %}}{body}{{% endif %}}",
                "if-else": f"{{% if {other} %}}{body}{{% else %}}{more}{{% endif %}}",
                "elif": f"{{% if {other} %}}{body}{{% elif {name} %}}{more}{{% endif %}}",
                "for": f"{{% for {name} in {other} %}}{body}{{% endfor %}}",
                "for-if": f"{{% for {name} in {other} if {name} %}}{body}{{% endfor %}}",
                "for-else": f"{{% for x, {name} in {other} %}}{body}{{% else %}}{more}{{% endfor %}}",
                "with": f"{{% with {name} = {other} %}}{body}{{% endwith %}}",
                "macro": f"{{% macro {name}(b, c={other}) %}}{body}{{% endmacro %}}",
                "call": f"{{% call(b) a({other}) %}}{body}{{% endcall %}}",
                "filter": f"{{% filter upper %}}{body}{{% endfilter %}}",
                "set-block": f"{{% set {name} %}}{body}{{% endset %}}",
                "scope": f"{{% autoescape true %}}{body}{{% endautoescape %}}",
                "import": f"{{% import {other} as {name} %}}",
                "import-from": f"{{% from {other} import a as {name}, c %}}",
                "namespace": f"{{% set {name}.x = {other} %}}",
                "block": f"{{% block n{number} %}}{body}{{% endblock %}}",
            }[draw(st.sampled_from(kinds))]
        )
    return "".join(parts)


@settings(quick, max_examples=150, phases=[Phase.explicit, Phase.generate])
@given(templates())
@example("{% macro a(b=caller) %}{% endmacro %}{% macro c(d=kwargs) %}{{ caller }}{% endmacro %}")
def test_the_variables_are_those_that_jinja_looks_up(text: str) -> None:
    environment = Environment(autoescape=True)
    try:
        theirs = meta.find_undeclared_variables(environment.parse(text))
    except (TemplateSyntaxError, AssertionError):
        return  # an AssertionError of Jinja's own is no answer
    ours = read_template(text)
    assert ours.problem is None
    assert {use.name for use in ours.undeclared} == theirs


@pytest.mark.attack("super-linear: unknown names")
def test_more_code_than_a_template_has_is_refused_at_its_line_before_it_is_parsed() -> None:
    text = "a line\n{{ a }}\n{{ [" + "[1]," * (MAXIMUM_CODE // 4) + "] }}\n"
    assert read_template(text).problem == TemplateProblem("more than 40,000 characters of expressions and blocks", 3)
    prose = "a line of prose, and {{ a }}\n" * 9_000
    assert read_template(prose).problem is None
