"""The ``flowpack`` command. Each command's module loads when it is called, so that help is quick."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from importlib import import_module
from pathlib import Path

import click

from flowpack import __version__
from flowpack.cli.output import error_document, show
from flowpack.errors import FlowpackError, UsageError

_COMMANDS = {
    "build": "Write a flow's build context; with --tag its image, with --push its digest.",
    "check": "Find problems in flows before you build them.",
    "ci": "Build, test, push, register and deploy a repository's flows in a CI job.",
    "deploy": "Deploy a flow to an online endpoint. Traffic moves once the new deployment answers.",
    "endpoint": "Inspect and call online endpoints, move their traffic, delete them.",
    "lock": "Write or renew the lockfile beside a flow.",
    "models": "List the versions of models, with their promptflow properties and digests.",
    "register": "Register a flow as a version of a model.",
    "run": "Serve a flow, a build or an image on this machine.",
    "test": "Start a flow, a build or an image, score its sample, stop it.",
}

_READER_GONE = 141  # as of a program that SIGPIPE ended: nobody reads stdout any more, `flowpack check | head`


class _Commands(click.Group):
    def list_commands(self, _: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"flowpack.cli.{cmd_name}").command
        return command

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="flowpack %(version)s")
def cli() -> None:
    """Takes a Microsoft prompt flow folder to a container image and a running endpoint.

    Which code runs: check and build --dry-run look, and run none. lock, build, register and deploy install packages
    as wheels, and run nothing of the flow or its packages on this machine. run, test and ci run the flow.

    Answers go to stdout, everything else to stderr. Exit codes: 0 done, 1 the flow or the input is wrong, 2 the command
    line is wrong, 3 something outside failed (engine, registry, network, Azure).
    """
    Path.cwd()  # one that is gone is refused before anything is looked for in it


def main() -> None:
    try:
        _set_up_streams()
        status = _run()
    except BaseException as error:
        status = _ended_by(error)
    sys.exit(status)


def _run() -> int | str | None:
    if "_FLOWPACK_COMPLETE" in os.environ:  # a shell asks for completions
        cli.main()
    try:
        # Not cli.main: it ends with 1, as for a flow that is wrong, where whoever reads stdout has gone away.
        with cli.make_context("flowpack", sys.argv[1:]) as context:
            cli.invoke(context)
    except click.exceptions.Exit as error:
        return error.exit_code
    except FlowpackError as error:
        report(error)
        return error.exit_code
    except click.ClickException as error:
        _show(error)
        _report_to_machines(UsageError(error.format_message()))
        return 2
    except SystemExit as ended:
        return ended.code
    return 0


def _ended_by(error: BaseException) -> int:
    try:
        if isinstance(error, (click.exceptions.Abort, KeyboardInterrupt, EOFError)):
            click.echo("stopped", err=True)
            _report_to_machines(FlowpackError("stopped"))
            return 130
        from flowpack.cli.failures import foreseen, of_a_stream  # noqa: PLC0415  (seldom needed)

        if isinstance(error, BrokenPipeError) and of_a_stream(error):
            _discard_streams()
            return _READER_GONE
        told = foreseen(error)
        report(told)
    except BaseException:
        _discard_streams()
        return FlowpackError.exit_code
    if isinstance(error, OSError):
        _discard_streams()
    return told.exit_code


def _set_up_streams() -> None:
    """What the locale's encoding cannot say is escaped as in JSON, so that an answer in JSON stays one."""
    codecs.register_error("flowpack-escape", _escaped)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="flowpack-escape")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2].hex() for at in range(0, len(units), 2))
    return "".join(f"\\u{pair}" for pair in pairs), error.end


def _discard_streams() -> None:
    """What is left in the buffer of one that cannot be written would raise again when Python ends."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def report(error: FlowpackError) -> None:
    """The error for a person on stderr; with --json for a machine on stdout as well."""
    show(f"error: {error}")
    _report_to_machines(error)


def _report_to_machines(error: FlowpackError) -> None:
    if "--json" in sys.argv[1:]:
        click.echo(error_document(error))


def _show(error: click.ClickException) -> None:
    """In click's words. What the command line has may be the name of a stranger's folder, by a glob."""
    words = io.StringIO()
    error.show(words)
    show(words.getvalue().rstrip("\n"))
