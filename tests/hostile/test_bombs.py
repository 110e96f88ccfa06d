"""Small texts that stand for much: each is refused, or read as what it is, quickly and in little memory."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import flowpack.checks.run  # noqa: F401  (loaded once here, not in each measured process)
from flowpack.checks.findings import Finding
from flowpack.checks.registry import all_checks, all_rules
from flowpack.checks.run import check
from flowpack.checks.suppressions import unsuppressed
from flowpack.documents.json_documents import parse_json
from flowpack.documents.yaml_documents import MAXIMUM_BYTES, read_document
from flowpack.errors import InputError, Location, YamlError, listed, nearest
from flowpack.flows.python_source import MAXIMUM_ANCESTORS, PythonSource
from flowpack.flows.templates import read_template
from tests.hostile.measuring import measure
from tests.hostile.readers import reader
from tests.paths import write_tree

GENEROUS = 10.0


@pytest.fixture(autouse=True)
def everything_is_loaded() -> None:
    all_checks()


def yaml_of(text: str) -> object:
    return read_document(Path("flow.dag.yaml"), text).root.data


BILLION_LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 30)
)


@pytest.mark.attack("held: Python and YAML bombs")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(BILLION_LAUGHS, "more than 20,000 values", id="aliases of aliases"),
        pytest.param(
            "a: &a " + "x" * 1_000_000 + "\nb: [" + "*a, " * 10_000 + "]\n", "16 MB of text", id="a long text"
        ),
        pytest.param("[" * (MAXIMUM_BYTES - 1), "nested too deeply", id="brackets"),
        pytest.param("- " * (MAXIMUM_BYTES // 2 - 1), "nested too deeply", id="dashes"),
        pytest.param("[" + "a," * (MAXIMUM_BYTES // 2 - 2) + "]", "more than 20,000 values", id="values"),
        pytest.param(
            "".join(f"{number * (2**61 - 1)}: 0\n" for number in range(9_000)), "large numbers", id="keys of one hash"
        ),
    ],
)
def test_a_yaml_bomb_is_refused_quickly_with_a_place(text: str, why: str) -> None:
    began = time.process_time()
    with pytest.raises(YamlError, match=why) as caught:
        yaml_of(text)
    assert time.process_time() - began < 5
    assert caught.value.location is not None
    assert caught.value.location.line


@pytest.mark.attack("held: Python and YAML bombs")
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("(" * 1_000_000, id="brackets"),
        pytest.param("-" * 1_000_000 + "1", id="signs"),
        pytest.param("a" + ".b" * 500_000, id="attributes"),
        pytest.param("x = " + "+".join("1" * 500_000), id="a sum"),
        pytest.param("x = 9 ** (10 ** 9)\n", id="a power"),
        pytest.param("x = 'a' * 10 ** 11\n", id="a repetition"),
        pytest.param("if a:\n  pass\n" + "elif a:\n  pass\n" * 50_000, id="branches"),
        pytest.param("x = [" + "[]," * 340_000 + "]", id="lists"),
        pytest.param("A = Union[A, B]\ndef f(a: A, b: A): pass\na = a.b\n@a\ndef g(): pass\n", id="names in a circle"),
        pytest.param("a\n" * 2_200_000, id="4 MB"),
    ],
)
def test_a_python_bomb_ends_quickly(text: str) -> None:
    for name in ("Python signatures", "check: a source"):
        found = measure(reader(name), text, limit=30)
        assert found.problem is None
        assert found.seconds < GENEROUS


@pytest.mark.attack("H7")
@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a'*(4*10**9) }}",
        "{{ 9**(10**8) }}",
        "{{ [0]*10**10 }}",
        "{% autoescape 'a'*(4*10**9) %}{% endautoescape %}",
        "{% include 'a'*(4*10**9) %}",
        "{% for a in range(10**12) %}{% endfor %}",
        "{{ '%0999999999d' % 1 }}",
        "{{ 'a' | center(10**10) }}",
    ],
)
def test_a_template_is_parsed_without_working_out_its_constants(text: str) -> None:
    found = measure(reader("Jinja"), text, limit=10)
    assert found.problem is None
    assert found.seconds < 3


@pytest.mark.attack("low: unknown Jinja filter")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n{{ a | nosuch }}", "there is no filter 'nosuch'"),
        ("a\n{{ a is nosuch }}", "there is no test 'nosuch'"),
        ("a\n{{ a + }}", "unexpected 'end of print statement'"),
        ("\n{{ " + "(" * 5000, "nested too deeply"),
        ("\n{{ a" + ".b" * 5000 + " }}", "nested too deeply"),
        ("\n{{ " + "9" * 5000 + " }}", "too many digits"),
        ("\n{{ a }}" * 10_001, "more than 10,000 expressions and blocks"),
    ],
)
def test_what_jinja_stops_at_is_a_problem_with_a_message(text: str, message: str) -> None:
    problem = read_template(text).problem
    assert problem is not None
    assert message in problem.message


@pytest.mark.attack("low: numbers of 5,000 digits")
@pytest.mark.parametrize(
    "number", ["0x" + "f" * 5000, "9" * 5000, "0b" + "1" * 5000, "0o" + "7" * 5000, "-" + "9" * 5000]
)
def test_a_number_of_thousands_of_digits_is_refused_in_yaml(number: str) -> None:
    with pytest.raises(YamlError, match="a number of more than 1,000 digits"):
        yaml_of(f"a: {number}\n")


@pytest.mark.attack("low: deep JSON or markers")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("[" * 500 + "]" * 500, "nested too deeply"),
        ('{"a":' * 500 + "1" + "}" * 500, "nested too deeply"),
        ("[" + "9" * 5000 + "]", "more than 1,000 digits"),
        ('"\\ud800"', "half of a character"),
        ("{", "broken JSON"),
    ],
)
def test_what_python_stops_at_is_an_error_of_the_json_file(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        parse_json(text, Path("samples.json"))
    assert caught.value.location is not None


@pytest.mark.attack("low: an empty model.api")
@pytest.mark.parametrize("value", ["{}", "[]", "1", "null", "{a: b}", "[chat]"])
@pytest.mark.parametrize("key", ["api", "response", "configuration", "parameters"])
def test_a_value_of_another_kind_in_a_prompty_is_no_exception(key: str, value: str) -> None:
    other = {"configuration": "{type: azure_openai}", "parameters": "{}", "api": "chat", key: value}
    lines = "".join(f"  {name}: {each}\n" for name, each in other.items())
    found = measure(reader("prompty"), f"---\nname: a\nmodel:\n{lines}---\nhello\n")
    assert found.problem is None


@pytest.mark.attack("low: an empty model.api")
@pytest.mark.parametrize("field", ["type", "connection", "azure_deployment"])
@pytest.mark.parametrize("value", ["{}", "[]", "{a: b}"])
def test_a_value_of_another_kind_in_a_models_configuration_is_no_exception(field: str, value: str) -> None:
    text = f"---\nmodel:\n  configuration: {{{field}: {value}, x: y}}\n  parameters: {{}}\n---\nhello\n"
    assert measure(reader("prompty"), text).problem is None


@pytest.mark.attack("super-linear: suggestions")
def test_a_thousand_references_that_are_nearly_right_are_all_found_in_time(tmp_path: Path) -> None:
    nodes = "".join(f"- {{name: summarise_{number}, type: prompt}}\n" for number in range(1000))
    outputs = "".join(
        f"  o{number}: {{type: string, reference: '${{sumarise_{number}.output}}'}}\n" for number in range(1000)
    )
    write_tree(tmp_path, {"flow.dag.yaml": f"inputs: {{}}\nnodes:\n{nodes}outputs:\n{outputs}"})
    began = time.process_time()
    found = check([str(tmp_path)], use_cache=False, processes=1).findings
    assert time.process_time() - began < GENEROUS
    dangling = [finding for finding in found if finding.rule.code == "FP103"]
    assert len(dangling) == 1000
    assert "did you mean" in (dangling[0].hint or "")


@pytest.mark.attack("super-linear: unknown names")
def test_a_template_with_thousands_of_unknown_names_is_checked_in_time(tmp_path: Path) -> None:
    template = " ".join(f"{{{{ [name_{number}, other_{number}] }}}}" for number in range(1_500))
    flow = (
        "inputs: {}\noutputs: {}\nnodes:\n- name: n\n  type: prompt\n  source: {type: code, path: a.jinja2}\n"
        "  inputs: {name: a}\n"
    )
    write_tree(tmp_path, {"flow.dag.yaml": flow, "a.jinja2": template})
    began = time.process_time()
    found = check([str(tmp_path)], use_cache=False, processes=1).findings
    assert time.process_time() - began < GENEROUS
    assert sum(finding.rule.code == "FP122" for finding in found) == 1001  # the last says that there are more


@pytest.mark.attack("super-linear: inheritance")
def test_a_long_chain_of_classes_counts_as_one_whose_ancestors_are_not_known() -> None:
    source = PythonSource("class A0: pass\n" + "".join(f"class A{n + 1}(A{n}): pass\n" for n in range(3000)))
    last = source.definitions["A3000"]
    classes, others = source.lineage(last)  # type: ignore[arg-type]
    assert len(classes) <= MAXIMUM_ANCESTORS + 1
    assert "" in others


@pytest.mark.attack("super-linear: suppressions")
def test_thousands_of_findings_and_comments_about_them_in_one_file_are_sorted_out_in_time(tmp_path: Path) -> None:
    rule = next(each for each in all_rules() if each.code == "FP401")
    (tmp_path / "a.txt").write_text("# flowpack: ignore[FP1]\n" * 20_000)
    findings = [Finding(rule=rule, message="", location=Location(tmp_path / "a.txt", n)) for n in range(1, 20_001)]
    began = time.process_time()
    assert len(unsuppressed(findings)) == len(findings)
    assert time.process_time() - began < GENEROUS


@pytest.mark.attack("super-linear: suggestions")
def test_thousands_of_messages_may_list_the_same_thousands_of_names() -> None:
    names = dict.fromkeys(map(str, range(50_000)))
    began = time.process_time()
    for _ in range(50_000):
        said = listed(names)
    assert said.endswith("and 49,980 more")
    assert time.process_time() - began < GENEROUS


@pytest.mark.attack("super-linear: suggestions")
def test_comparing_names_ends_in_time_however_many_and_long_they_are() -> None:
    began = time.process_time()
    nearest("a" * 3000, ("a" * 3000 + str(number) for number in range(10_000)))
    assert nearest("summarise", [f"other{number}" for number in range(100)] + ["sumarise"]) == "sumarise"
    assert time.process_time() - began < GENEROUS


@pytest.mark.attack("low: a traceback where an error belongs")
@pytest.mark.parametrize("text", ["''", "' '", "| # nothing"])
def test_an_empty_requirement_of_a_conda_file_is_refused(text: str) -> None:
    found = measure(reader("conda file"), f"dependencies:\n- pip:\n  - {text}\n")
    assert found.problem is None
    assert "is not a valid requirement" in (found.refusal or "")


@pytest.mark.attack("low: overlong source paths")
def test_an_entry_whose_module_is_longer_than_a_path_may_be_is_refused() -> None:
    found = measure(reader("flow.flex.yaml"), "entry: " + "package." * 10_000 + "main:f\n")
    assert found.problem is None
    assert "the flow has no module" in (found.refusal or "")
