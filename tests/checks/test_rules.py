"""Each rule finds what its failing fixture shows, leaves its passing one alone, and has its place in the reference."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from flowpack.checks.findings import Finding, Rule, Severity
from flowpack.checks.pages import find_rule, page_of
from flowpack.checks.registry import all_rules
from flowpack.checks.reports import render
from flowpack.checks.run import check
from flowpack.dependencies import resolution
from flowpack.dependencies.lockfile import lock_dependencies
from flowpack.dependencies.requirements import read_requirements
from flowpack.dependencies.resolvers import Pin, Question
from flowpack.dependencies.serving_needs import ServingNeeds
from flowpack.dependencies.target import Platform, Target
from tests.checks.rule_projects import CHECKS, project
from tests.paths import FLOWS, ROOT, write_tree
from tests.planted_secrets import planted

PAGES = ROOT / "docs" / "reference" / "rules"
RULES = pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: f"{rule.code}-{rule.name}")


def found(folder: Path) -> tuple[Finding, ...]:
    return check([str(folder)], use_cache=False).findings


def codes(folder: Path) -> set[str]:
    return {finding.rule.code for finding in found(folder)}


@RULES
def test_its_failing_fixture_is_reported_as_expected(
    rule: Rule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project(rule.name, "fails", tmp_path)
    monkeypatch.chdir(folder)
    mine = [finding for finding in found(folder) if finding.rule == rule]
    report = render("text", mine, root=folder).replace(str(folder), "<project>")
    assert report + "\n" == (CHECKS / rule.name / "expected.txt").read_text()


@RULES
def test_its_passing_fixture_has_neither_it_nor_an_error(rule: Rule, tmp_path: Path) -> None:
    findings = found(project(rule.name, "passes", tmp_path))
    assert [each for each in findings if each.rule == rule or each.rule.severity is Severity.ERROR] == []


def sections(rule: Rule) -> dict[str, str]:
    page = (PAGES / f"{rule.code}.md").read_text()
    start = f"# {rule.code} {rule.name}\n\n**{rule.severity.value.capitalize()}.** {rule.summary}\n"
    assert page.startswith(start)
    headings = re.split(r"^## (\w+)\n", page.removeprefix(start), flags=re.M)
    return dict(zip(headings[1::2], headings[2::2], strict=True))


@RULES
def test_its_page_says_what_why_and_how_to_fix_it(rule: Rule) -> None:
    found = sections(rule)
    assert [name for name in found if name != "Example"] == ["What", "Why", "Fix"]
    assert all(text.strip() for text in found.values())


@RULES
def test_the_examples_of_its_page_are_its_fixtures(rule: Rule) -> None:
    """Each example is some of the lines of a fixture's file, in their order."""
    shown = re.split(r"^(Bad|Good):$", sections(rule).get("Example", ""), flags=re.M)
    assert shown[0].strip() == ""
    for title, blocks in zip(shown[1::2], shown[2::2], strict=True):
        fixture = CHECKS / rule.name / {"Bad": "fails", "Good": "passes"}[title]
        found = re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', blocks, re.M | re.S)
        assert found
        for name, text in found:
            lines = iter((fixture / name).read_text().splitlines())
            assert all(line in lines for line in text.splitlines()), f"{title}: {name}"


@RULES
def test_its_page_is_printed(rule: Rule) -> None:
    text = page_of(find_rule(rule.name))
    assert text.startswith(f"# {rule.code} {rule.name}\n")
    assert re.findall(r"\]\((?!https://)", text) == [], "a link that leads nowhere outside the checkout"


def test_codes_and_names_are_unique_and_well_formed() -> None:
    rules = all_rules()
    assert len({rule.code for rule in rules}) == len({rule.name for rule in rules}) == len(rules)
    assert all(re.fullmatch(r"FP[1-9]\d\d", rule.code) for rule in rules)
    assert {path.name for path in CHECKS.iterdir()} == {rule.name for rule in rules}


def test_no_page_has_a_rule_that_is_not_there() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} - {"README"} == {rule.code for rule in all_rules()}


def test_flows_that_build_and_run_have_no_errors() -> None:
    findings = found(FLOWS)
    assert [finding for finding in findings if finding.rule.severity is Severity.ERROR] == []


@pytest.mark.parametrize("rule", ["dangling-reference", "literal-secret", "variable-not-text"])
def test_a_flow_that_cannot_be_read_does_not_hide_the_others(rule: str, tmp_path: Path) -> None:
    folder = project(rule, "fails", tmp_path)
    before = codes(folder)
    write_tree(folder / "another", {"flow.dag.yaml": "nodes: [\n"})
    assert codes(folder) == before | {"FP101"}


def test_the_rest_of_a_flow_is_looked_at_where_one_include_is_missing(tmp_path: Path) -> None:
    folder = project("broken-include", "fails", tmp_path)
    (folder / "flow" / "count.py").write_text("def count(text): ...\n")
    assert codes(folder) == {"FP201", "FP108"}


def test_every_missing_source_and_include_is_named(tmp_path: Path) -> None:
    flow = "additional_includes: [../a, ../b]\nnodes:\n"
    flow += "".join(f"- {{name: {name}, type: python, source: {{path: {name}.py}}}}\n" for name in ("one", "two"))
    findings = found(write_tree(tmp_path, {"flow/flow.dag.yaml": flow}))
    assert [finding.rule.code for finding in findings] == ["FP201", "FP201", "FP106", "FP106"]


def test_a_variant_that_is_not_the_default_is_looked_at_too(tmp_path: Path) -> None:
    body = "node: {type: llm, source: {path: ask.jinja2}, connection: c, api: chat, inputs: {q: '${inputs.%s}'}}"
    variants = f"{{one: {{{body % 'q'}}}, two: {{{body % 'typo'}}}}}"
    flow = f"""\
inputs: {{q: {{type: string}}}}
outputs: {{a: {{type: string, reference: '${{ask.output}}'}}}}
nodes: [{{name: ask, use_variants: true}}]
node_variants: {{ask: {{default_variant_id: one, variants: {variants}}}}}
"""
    findings = found(write_tree(tmp_path, {"flow.dag.yaml": flow, "ask.jinja2": "{{q}}"}))
    assert [(finding.rule.code, finding.location.line) for finding in findings] == [("FP103", 4)]


def test_a_fresh_lock_is_not_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ones:
        name = "ones 1"

        def resolve(self, question: Question) -> tuple[Pin, ...]:
            wanted = {str(line.name): line.pinned for line in question.requirements.lines}
            wanted |= {each.name: each.text.partition("==")[2] for each in question.serving}
            hashes = (f"sha256:{'0' * 64}",)
            return tuple(Pin(name, version or "9", hashes, ("-r x.txt",)) for name, version in wanted.items())

    monkeypatch.setattr(resolution, "choose_resolver", lambda *_: Ones())
    folder = project("unpinned", "fails", tmp_path)
    requirements = read_requirements("requirements.txt", {"requirements.txt": folder / "requirements.txt"})
    target = Target("3.12", Platform("linux", "arm64"))
    lock = lock_dependencies(requirements, needs=ServingNeeds(azureml=True), target=target)
    (folder / "requirements.lock").write_text(lock.text)
    assert codes(folder) == set()
    (folder / "requirements.txt").write_text("flask>=2\n")
    assert codes(folder) == {"FP303"}


def locked(name: str, version: str, via: str) -> str:
    return f"{name}=={version} \\\n    --hash=sha256:{'0' * 64}\n    # via {via}\n"


def test_a_lock_may_hold_a_version_that_no_requirement_asks_for(tmp_path: Path) -> None:
    folder = project("unpinned", "passes", tmp_path)
    lock = locked("flask", "3.1.3", "-r requirements.txt") + locked("opentelemetry-sdk", "1.40.0", "promptflow-tracing")
    (folder / "requirements.lock").write_text(lock)
    findings = [finding for finding in found(folder) if finding.rule.code == "FP309"]
    assert [(finding.location.path.name, finding.location.line) for finding in findings] == [("requirements.lock", 4)]


@pytest.mark.parametrize(("via", "expected"), [("-r requirements.txt", {"FP306"}), ("pyarrow", set())])
def test_what_another_package_of_the_lock_requires_is_used(via: str, expected: set[str], tmp_path: Path) -> None:
    folder = project("not-used", "fails", tmp_path)
    (folder / "requirements.lock").write_text(locked("polars", "1.35.1", via))
    assert codes(folder) - {"FP303"} == expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ghp_" + "a1B2" * 9, "a GitHub token"),
        ("sk-proj-" + "Ab1_" * 6 + "T3BlbkFJ" + "Cd2-" * 6, "an OpenAI key"),
        ("DefaultEndpointsProtocol=https;AccountKey=" + "Ab1+" * 21 + "Zz==", "a key of an Azure storage account"),
        ("aB1" + "8Q~" + "x1Y2" * 8, "a secret of an Entra application"),
        ("AKIA" + "Q1W2E3R4T5Y6U7I8", "an AWS access key"),
    ],
)
def test_a_secret_is_named_and_not_shown(text: str, kind: str, tmp_path: Path) -> None:
    flow = (CHECKS / "tool-count" / "passes").as_posix()
    subprocess.run(["cp", "-r", flow, str(tmp_path / "flow")], check=True)
    (tmp_path / "flow" / "settings.ini").write_text(f"[one]\nkey = {text}\n")
    (finding,) = found(tmp_path)
    assert (finding.rule.code, finding.location.line) == ("FP209", 2)
    assert kind in finding.message
    assert text not in finding.message + str(finding.hint)


@pytest.mark.parametrize("text", ["AKIAIOSFODNN7EXAMPLE", "sk-" + "x" * 40, "ghp_" + "x" * 36, "hf_" + "0" * 34])
def test_a_documented_example_is_no_secret(text: str, tmp_path: Path) -> None:
    flow = project("tool-count", "passes", tmp_path)
    (flow / "notes.md").write_text(text)
    assert codes(flow) == set()


def test_documents_of_other_models_are_let_be(tmp_path: Path) -> None:
    model = "$schema: https://azuremlschemas.azureedge.net/latest/model.schema.json\nname: churn\npath: .\n"
    deployment = """\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
endpoint_name: churn
instance_count: 1
environment:
  inference_config:
    scoring_route: {path: /predict, port: 5001}
"""
    assert codes(write_tree(tmp_path, {"model.yml": model, "deployment.yml": deployment})) == set()


def test_names_that_a_pipeline_fills_in_are_let_be(tmp_path: Path) -> None:
    folder = project("endpoint-name", "passes", tmp_path)
    path = folder / "deployment.yaml"
    path.write_text(path.read_text().replace("name: blue", "name: ${{DEPLOYMENT_NAME}}"))
    assert codes(folder) == set()


def test_messages_do_not_depend_on_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        folder = project("dangling-reference", "fails", tmp_path / name)
        monkeypatch.chdir(folder)
        reports.append(render("json", found(folder), root=folder))
    assert reports[0] == reports[1]
    assert str(tmp_path) not in reports[0]
    assert os.sep in str(tmp_path)


@pytest.mark.attack("M5")
@pytest.mark.parametrize("name", ["requirements.lock", "flow.txt", "requirements.in", "pip.conf", "data/notes.md"])
def test_a_secret_is_found_in_the_lock_and_in_each_file_that_ships(name: str, tmp_path: Path) -> None:
    token = planted()["a GitHub token"]
    write_tree(
        tmp_path, {"flow.dag.yaml": "inputs: {}\nnodes: []\n", name: f"# --index-url https://{token}@x.example\n"}
    )
    (finding,) = (each for each in found(tmp_path) if each.rule.code == "FP209")
    assert (finding.location.path.name, finding.location.line) == (Path(name).name, 1)
    assert token not in finding.message


@pytest.mark.attack("H1")
@pytest.mark.parametrize(
    "base",
    [
        "FROM python\nRUN --mount=type=secret,id=pip-config cp /s /t\n",
        "# syntax=x\nFROM python\n",
        "FROM a AS flow\nFROM b\n",
    ],
)
def test_a_base_that_a_build_refuses_is_found(base: str, tmp_path: Path) -> None:
    write_tree(tmp_path, {"flow/flow.dag.yaml": "inputs: {}\nnodes: []\n", "Dockerfile.base": base, ".git/HEAD": ""})
    (finding,) = (each for each in found(tmp_path) if each.rule.code == "FP312")
    assert finding.location.path.name == "Dockerfile.base"
    assert finding.location.line


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import os\nos.system('pip install polars')", True),
        ("from subprocess import run\nrun(('pip3', 'install', '-q', 'polars'))", True),
        ("import pip\ndef late():\n    pip.main(['install', 'polars'])", True),
        ("from pip._internal import main\nmain(['install', 'polars'])", True),
        ("import subprocess\nsubprocess.run(['npm', 'install'])", False),
        ("print('pip install polars')", False),
        ("def main(words): ...\nmain(['pip', 'install'])", False),
    ],
)
def test_a_source_that_runs_pip_is_named(source: str, expected: bool, tmp_path: Path) -> None:
    folder = project("installs-at-run-time", "passes", tmp_path)
    (folder / "count.py").write_text(f"{source}\n{(folder / 'count.py').read_text()}")
    assert ("FP211" in codes(folder)) is expected


def test_a_script_that_no_server_runs_may_run_pip(tmp_path: Path) -> None:
    folder = project("installs-at-run-time", "passes", tmp_path)
    (folder / "setup_machine.py").write_text("import os\nos.system('pip install polars')\n")
    assert "FP211" not in codes(folder)


@pytest.mark.parametrize(("module", "expected"), [("polars", {"FP305"}), ("pandas", set())])
def test_a_flow_with_the_full_sdk_may_still_lack_a_package(module: str, expected: set[str], tmp_path: Path) -> None:
    folder = project("not-required", "fails", tmp_path)
    source = (folder / "count.py").read_text()
    (folder / "count.py").write_text(
        source.replace("import polars", f"import {module}").replace("polars.", f"{module}.")
    )
    (folder / "requirements.txt").write_text("promptflow==1.18.5\n")
    assert codes(folder) & {"FP305"} == expected
