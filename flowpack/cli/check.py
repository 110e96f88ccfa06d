"""``flowpack check``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from flowpack.checks.baseline import Baseline
from flowpack.checks.findings import Severity
from flowpack.checks.fixing import fix as fix_all
from flowpack.checks.pages import find_rule, page_of, page_url
from flowpack.checks.registry import all_rules
from flowpack.checks.reports import FORMATS, render
from flowpack.checks.run import check
from flowpack.checks.selection import Selection
from flowpack.checks.suppressions import unsuppressed
from flowpack.cli.output import answer
from flowpack.cli.reporters import reporter_for
from flowpack.errors import UsageError
from flowpack.writing import replace_file

if TYPE_CHECKING:
    from flowpack.checks.findings import Finding
    from flowpack.checks.run import Checked

_BASELINE = Path("flowpack-baseline.json")


@click.command("check")
@click.argument("sources", nargs=-1, metavar="SOURCE...")
@click.option("--format", "format_", type=click.Choice(FORMATS), default="text", show_default=True, help="The report.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--explain", "explained", metavar="RULE", help="Print the page of a rule, by its code or its name.")
@click.option("--select", multiple=True, metavar="CODES", help="Check only these rules: FP103, or FP1 for a group.")
@click.option("--ignore", multiple=True, metavar="CODES", help="Check all rules except these.")
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
@click.option("--fix", is_flag=True, help="Apply fixes that do not change behaviour.")
@click.option(
    "--baseline",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Report only findings that this file, from --write-baseline, does not have.",
)
@click.option("--write-baseline", is_flag=True, help=f"Write the baseline, by default {_BASELINE}, and report nothing.")
@click.option(
    "--include-root",
    "include_roots",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Allow additional includes from this folder too; the project's root is always allowed. Repeatable.",
)
@click.option("--no-cache", is_flag=True, help="Ignore cached results.")
@click.option("--quiet", "-q", is_flag=True, help="Write only warnings and errors to stderr.")
def command(
    sources: tuple[str, ...],
    *,
    format_: str,
    as_json: bool,
    explained: str | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    strict: bool,
    fix: bool,
    baseline: Path | None,
    write_baseline: bool,
    include_roots: tuple[Path, ...],
    no_cache: bool,
    quiet: bool,
) -> None:
    """Find problems in the flows at each SOURCE before you build them. Only looks: no code of theirs runs.

    SOURCE is a flow, a folder with flows in it (a whole repository), a glob, or an Azure ML document. Exit code 1 where
    there are errors. --explain FP103 prints the page of a rule.
    """
    if explained is not None:
        _explain(explained, as_json=as_json)
        return
    if not sources:
        raise click.MissingParameter(param_type="argument", param_hint="'SOURCE...'")

    if as_json and format_ not in {"text", "json"}:
        raise UsageError(f"--json and --format {format_} ask for two reports")
    if fix and write_baseline:
        raise UsageError("--fix and --write-baseline do not go together", hint="fix first, then write what is left")
    reporter = reporter_for(quiet)
    try:
        root = Path.cwd()
    except OSError as error:
        raise UsageError("the working directory is gone", hint="change to a folder that exists") from error
    checked = check(sources, include_roots, use_cache=not no_cache)
    findings = _wanted(checked, select, ignore)
    if fix:
        reporter.info(f"fixed: {fix_all(findings)}")
        checked = check(sources, include_roots, use_cache=not no_cache)
        findings = _wanted(checked, select, ignore)
    if write_baseline:
        path = baseline or _BASELINE
        replace_file(path, Baseline.of(findings, root).text())
        reporter.info(f"known from now on: {len(findings)}")
        click.echo(path)
        return
    if baseline:
        compared = Baseline.read(baseline).compare(findings, root)
        findings = compared.new
        reporter.info(f"known before: {compared.known}; gone since: {compared.gone}")
    reporter.info(f"checked: {checked.flows} flow{'s' * (checked.flows != 1)}")
    report = render("json" if as_json else format_, findings, root=root)
    if report:
        click.echo(report)
    if any(strict or finding.rule.severity is Severity.ERROR for finding in findings):
        sys.exit(1)


def _explain(name: str, *, as_json: bool) -> None:
    _refuse_other_options()
    rule = find_rule(name)
    page = page_of(rule)
    document = {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity.value,
        "summary": rule.summary,
        "url": page_url(rule.code),
        "page": page,
    }
    if as_json or not sys.stdout.isatty():
        answer(document, page.rstrip(), as_json)
        return
    from flowpack.cli.rich_pages import print_page  # noqa: PLC0415  (rich)

    print_page(page)


def _refuse_other_options() -> None:
    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if given and parameter.name not in {"explained", "as_json", "quiet"}:
            name = "SOURCE" if isinstance(parameter, click.Argument) else parameter.opts[0]
            raise UsageError(f"--explain and {name} do not go together", hint="--explain takes a rule, and --json")


def _wanted(checked: Checked, select: tuple[str, ...], ignore: tuple[str, ...]) -> Sequence[Finding]:
    selection = Selection.parse(select, ignore, [rule.code for rule in all_rules()])
    return unsuppressed(finding for finding in checked.findings if selection.takes(finding.rule.code))
