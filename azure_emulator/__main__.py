"""``python -m azure_emulator``: an Azure for a person at a terminal, until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import threading
from pathlib import Path

from azure_emulator.blobs import find_azurite
from azure_emulator.emulator import AzureEmulator
from azure_emulator.faults import Fault
from azure_emulator.setup import Setup

EXAMPLES = """\
  python -m azure_emulator > azure.env      then, elsewhere: . azure.env; flowpack register my-flow
  python -m azure_emulator --fault 'throttle PUT /models/ times=3 retry_after=1' \\
                                 --fault 'cut PUT blob.core bytes=1000 skip=2'
  python -m azure_emulator > azure.env      and then: . azure.env; flowpack deploy my-flow, which runs its image
                                                  in a container of the local engine until Ctrl-C
  curl http://127.0.0.1:<port>/_emulator/journal  (state, blobs and faults as well)
  curl http://127.0.0.1:<port>/_emulator/faults -d 'error GET /datastores status=503'
"""


def main() -> None:
    given = _options().parse_args()
    azurite = None if given.no_blobs else find_azurite()
    if azurite is None and not given.no_blobs:
        sys.exit("there is no Azurite: 'scripts/real-parts up' installs it, --no-blobs goes without uploads")
    setup = Setup(token_seconds=given.token_seconds, runs_containers=not given.no_containers)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with AzureEmulator(setup=setup, folder=given.state, port=given.port, azurite=azurite) as emulator:
        emulator.faults.add(*given.fault)
        variables = emulator.variables(given.principal) | emulator.workspace_variables()
        text = (
            json.dumps(variables)
            if given.json
            else "\n".join(f"export {k}={shlex.quote(v)}" for k, v in variables.items())
        )
        print(text, flush=True)
        print(
            f"emulator at http://127.0.0.1:{emulator.port}/_emulator/journal; Ctrl-C ends it",
            file=sys.stderr,
            flush=True,
        )
        stop.wait()


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m azure_emulator",
        description="Writes to stdout the variables that a program needs to find it, and serves until Ctrl-C.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="the port of its proxy on 127.0.0.1 (default: a free one)")
    parser.add_argument("--state", type=Path, metavar="DIR", help="keep resources and blobs here (default: in memory)")
    parser.add_argument(
        "--fault", action="append", default=[], type=Fault.parse, help="see azure_emulator/faults.py; repeatable"
    )
    parser.add_argument(
        "--principal",
        default="contributor",
        choices=[one.name for one in Setup().principals],
        help="whose credentials to write (default: contributor)",
    )
    parser.add_argument("--token-seconds", type=int, default=3600, help="how long a token is good for (default: 3600)")
    parser.add_argument("--no-blobs", action="store_true", help="without Azurite: everything but uploads")
    parser.add_argument(
        "--no-containers",
        action="store_true",
        help="deployments echo (see azure_emulator/echo.py); no engine needed",
    )
    parser.add_argument("--json", action="store_true", help="write the variables as one JSON object")
    return parser


if __name__ == "__main__":
    main()
