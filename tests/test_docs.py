"""The docs say what the code does: the command page is generated, links lead somewhere, every command has help."""

from __future__ import annotations

import ast
import re
import runpy
from functools import cache
from pathlib import Path

import click
import pytest

from flowpack.checks.registry import all_rules
from flowpack.cli.main import cli
from tests.paths import ROOT

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
# Pages whose English is another's: the threat model, the architecture, and what is made of the commands' own help.
NOT_READ_FOR_ENGLISH = {"security.md", "architecture.md", "commands.md"}


def test_the_page_of_commands_is_fresh() -> None:
    generator = runpy.run_path(str(ROOT / "scripts" / "generate-docs"), run_name="generator")
    stored = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    assert stored == generator["page"](), "run scripts/generate-docs"


def test_the_tables_of_rules_are_fresh() -> None:
    generator = runpy.run_path(str(ROOT / "scripts" / "generate-docs"), run_name="generator")
    stored = (ROOT / "docs" / "reference" / "rules" / "README.md").read_text(encoding="utf-8")
    assert stored == generator["rules_page"](), "run scripts/generate-docs"
    assert stored.count("| [FP") == len(all_rules())
    for page in ("README.md", "CHANGELOG.md"):
        assert f"{len(all_rules())} rules" in (ROOT / page).read_text(encoding="utf-8"), page


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


@cache
def texts_of_flowpack() -> tuple[str, ...]:
    """Every literal text of the sources: of an f-string the parts between its placeholders."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "flowpack").rglob("*.py"))
    nodes = (node for tree in trees for node in ast.walk(tree))
    return tuple(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def quoted_messages(page: Path) -> list[str]:
    blocks = re.findall(r'^```text title="flowpack"\n(.*?)^```$', page.read_text(encoding="utf-8"), re.M | re.S)
    return [line for block in blocks for line in block.splitlines()]


def test_troubleshooting_quotes_messages_that_exist() -> None:
    """Between its ``…``, each line is in the sources."""
    messages = quoted_messages(ROOT / "docs" / "how-to" / "troubleshooting.md")
    assert len(messages) > 15
    for message in messages:
        parts = [part.strip() for part in message.removeprefix("warning: ").split("…")]
        for part in parts:
            assert any(part in text for text in texts_of_flowpack()), f"{part!r} of {message!r}"


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name not in NOT_READ_FOR_ENGLISH],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_prose_is_plain_english(page: Path) -> None:
    """The turns of phrase that readers stumbled over most."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    odd = re.findall(r"\b(?:anew|mend(?:s|ed|ing)?|(?:is|are) told|lies|(?<!there )is no [a-z]+)\b", prose, re.I)
    assert odd == []
