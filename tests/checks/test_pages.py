"""Each finding leads to a page: by address in every report, and in the terminal by --explain."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from flowpack.checks import pages
from flowpack.checks.reports import FORMATS, render
from flowpack.cli.main import cli
from flowpack.errors import UsageError
from tests.checks.findings_samples import repository, samples
from tests.paths import ROOT, write_tree

ADDRESS = "https://docs.example/reference/rules/FP101/"


@pytest.mark.parametrize("format_", FORMATS)
def test_every_report_has_the_address_of_the_page(tmp_path: Path, format_: str) -> None:
    root = repository(tmp_path)
    assert ADDRESS in render(format_, samples(root)[:1], root=root)


@pytest.mark.parametrize("format_", FORMATS)
def test_reports_do_without_an_address(tmp_path: Path, format_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "documentation", lambda: None)
    root = repository(tmp_path)
    text = render(format_, samples(root), root=root)
    assert "None" not in text
    assert ("flowpack check --explain FP101" in text) == (format_ == "text")


def test_text_has_each_address_once(tmp_path: Path) -> None:
    root = repository(tmp_path)
    text = render("text", samples(root), root=root)
    assert text.count(ADDRESS) == 1
    assert text.count("FP101 ") == 2


def test_where_each_format_has_its_place(tmp_path: Path) -> None:
    root = repository(tmp_path)
    findings = samples(root)[:1]
    sarif, document, gitlab = (json.loads(render(name, findings, root=root)) for name in ("sarif", "json", "gitlab"))
    assert sarif["runs"][0]["tool"]["driver"]["rules"][0]["helpUri"] == ADDRESS
    assert document["findings"][0]["url"] == ADDRESS
    assert gitlab[0]["content"] == {"body": f"[FP101 dangling-reference]({ADDRESS})"}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of an installation, and nothing else to import from."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    pages.documentation.cache_clear()
    yield tmp_path
    pages.documentation.cache_clear()


@pytest.mark.real_documentation
def test_the_address_is_that_of_the_metadata(installed: Path) -> None:
    urls = "Project-URL: Changes, https://changes.example\nProject-URL: Documentation, https://docs.example/en\n"
    write_tree(installed, {"flowpack-0.1.0.dist-info/METADATA": f"Metadata-Version: 2.4\nName: flowpack\n{urls}\n"})
    assert pages.page_url("FP103") == "https://docs.example/en/reference/rules/FP103/"


@pytest.mark.real_documentation
def test_there_is_no_address_without_metadata(installed: Path) -> None:
    assert pages.page_url("FP103") is None
    pages.documentation.cache_clear()
    write_tree(installed, {"flowpack-0.1.0.dist-info/METADATA": "Metadata-Version: 2.4\nName: flowpack\n"})
    assert pages.page_url("FP103") is None


def test_the_address_is_written_in_one_place() -> None:
    """Pictures of a terminal show it, as flowpack prints it."""
    host = re.findall(r'^Documentation = "https://([^/"]+)', (ROOT / "pyproject.toml").read_text(), re.M)[0]
    folders = ("flowpack", "docs", "scripts", "ci", "tests", "fixtures", "benchmarks")
    files = [path for each in folders for path in (ROOT / each).rglob("*") if path.suffix not in {".pyc", ".svg"}]
    files += [path for path in ROOT.glob("*") if path.suffix in {".md", ".toml", ".yml", ".yaml"}]
    holding = [path.name for path in files if path.is_file() and host.encode() in path.read_bytes()]
    assert holding == ["pyproject.toml"]


@pytest.mark.parametrize("name", ["FP103", "fp103", "dangling-reference", "Dangling-Reference"])
def test_a_rule_by_code_or_name(name: str) -> None:
    assert pages.find_rule(name).code == "FP103"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("FP1003", "did you mean 'FP103'?"),
        ("dangling-refernce", "did you mean 'dangling-reference'?"),
        ("zzz", "give a code or a name from a finding, such as FP103"),
    ],
)
def test_a_rule_that_does_not_exist(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"no rule has the code or the name '{name}'") as caught:
        pages.find_rule(name)
    assert caught.value.hint == hint


def explain(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flowpack", "check", "--explain", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_explain_prints_the_page() -> None:
    done = explain("dangling-reference")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("# FP103 dangling-reference\n")
    assert "## Fix\n\nCorrect the name." in done.stdout
    assert "\x1b" not in done.stdout


def test_explain_for_a_program() -> None:
    document = json.loads(explain("FP103", "--json").stdout)
    assert (document["name"], document["severity"]) == ("dangling-reference", "error")
    assert document["page"].startswith("# FP103")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["FP999"], "error: no rule has the code or the name 'FP999'"),
        (["FP103", "."], "error: --explain and SOURCE do not go together"),
        (["FP103", "--strict"], "error: --explain and --strict do not go together"),
    ],
)
def test_explain_refuses(arguments: list[str], message: str) -> None:
    done = explain(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message)


def test_check_without_a_source_is_a_usage_error() -> None:
    result = CliRunner().invoke(cli, ["check"])
    assert result.exit_code == 2
    assert "Missing argument 'SOURCE...'" in result.output


def test_explain_on_a_terminal_formats_the_page() -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "flowpack", "check", "--explain", "FP103"]
    with subprocess.Popen(command, stdout=theirs, env={"PATH": "/usr/bin:/bin", "TERM": "xterm"}) as running:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # Linux says so where the other side is closed and all is read
            while part := os.read(ours, 100_000):
                shown += part
    os.close(ours)
    assert running.returncode == 0
    assert b"\x1b[" in shown
    assert b"## Fix" not in shown
    assert b"Correct the name." in shown
