"""The docs say what the code does: the command page is generated, links lead somewhere, every command has help."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import click
import pytest

from flowpack.checks.registry import all_rules
from flowpack.cli.main import cli
from tests.paths import ROOT

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_the_page_of_commands_is_fresh() -> None:
    generator = runpy.run_path(str(ROOT / "scripts" / "generate-docs"), run_name="generator")
    stored = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    assert stored == generator["page"](), "run scripts/generate-docs"


def test_the_tables_of_rules_are_fresh() -> None:
    generator = runpy.run_path(str(ROOT / "scripts" / "generate-docs"), run_name="generator")
    stored = (ROOT / "docs" / "reference" / "rules" / "README.md").read_text(encoding="utf-8")
    assert stored == generator["rules_page"](), "run scripts/generate-docs"
    assert stored.count("| [FP") == len(all_rules())


def test_each_attack_of_the_threat_model_names_the_tests_that_hold_it() -> None:
    generator = runpy.run_path(str(ROOT / "scripts" / "generate-docs"), run_name="generator")
    stored = (ROOT / "docs" / "explanation" / "security.md").read_text(encoding="utf-8")
    assert stored == generator["security_page"](), "run scripts/generate-docs"
    table = stored[stored.index("| Row |") :].splitlines()[2:]
    rows = {line.split(" | ")[0].removeprefix("| ").replace("\\|", "|") for line in table if line.startswith("| ")}
    assert rows == set(generator["attack_rows"]())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_option_has_help() -> None:
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        assert command.help
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, f"{name} {option.name}"
