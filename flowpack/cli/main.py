"""The ``flowpack`` command. Each command's module loads when it is called, so that help is quick."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from flowpack import __version__
from flowpack.errors import FlowpackError

_COMMANDS = {
    "build": "Write a flow's build context; with --tag its image, with --push its digest.",
    "check": "Say everything about flows that can be known before a build.",
    "ci": "What a CI job does with a repository's flows: build, test, push, register, deploy.",
    "deploy": "Bring a flow to an online endpoint, beside what serves until it has answered.",
    "endpoint": "Look at online endpoints, ask them, move their traffic, delete them.",
    "lock": "Write or renew the lockfile beside a flow.",
    "models": "List the versions of models, with their promptflow properties and digests.",
    "register": "Register a flow as a version of a model.",
    "run": "Serve a flow, a build or an image on this machine.",
    "test": "Start a flow, a build or an image, score its sample, stop it.",
}


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

    Answers go to stdout, narration to stderr. Exit codes: 0 done, 1 the flow or the input is wrong, 2 the command line
    is wrong, 3 something outside failed (engine, registry, network, Azure).
    """


def main() -> None:
    try:
        cli.main(standalone_mode=False)
    except FlowpackError as error:
        report(error)
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        click.echo("stopped", err=True)
        sys.exit(130)
    except click.ClickException as error:
        _show(error)
        sys.exit(2)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)


def report(error: FlowpackError) -> None:
    """The error for a person on stderr; with --json for a machine on stdout as well."""
    from flowpack.cli.output import error_document, narrate  # noqa: PLC0415

    narrate(f"error: {error}")
    if "--json" in sys.argv[1:]:
        click.echo(error_document(error))


def _show(error: click.ClickException) -> None:
    """In click's words. What the command line has may be the name of a stranger's folder, by a glob."""
    import io  # noqa: PLC0415  (a right command line does without)

    from flowpack.cli.output import narrate  # noqa: PLC0415

    words = io.StringIO()
    error.show(words)
    narrate(words.getvalue().rstrip("\n"))
