"""An unchanged deployment: flowpack, and a script with azure-ai-ml that puts the same. A process of its own each.

The tests' Azure carries out an operation in a tenth of a second, so that what is compared is the client's own time; to
put a deployment again takes Azure minutes.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from azure_emulator import AzureEmulator, Setup
from azure_emulator.blobs import find_azurite
from benchmarks.measure import in_turn

FLOWS = Path(__file__).parents[1] / "fixtures"
FLOWPACK = str(Path(sys.executable).with_name("flowpack"))
IMAGE = "example.azurecr.io/flows/chat@sha256:" + "5" * 64
RUNS = 7


def main() -> None:
    azurite = find_azurite()
    if azurite is None:
        raise SystemExit("there is no Azurite: scripts/real-parts up installs it")
    setup = Setup(runs_containers=False)
    with tempfile.TemporaryDirectory() as name, AzureEmulator(setup=setup, azurite=azurite) as azure:
        work = Path(name)
        shutil.copytree(FLOWS, work / "fixtures")
        (work / ".git").mkdir()
        os.environ.update({**azure.variables("owner"), **azure.workspace_variables(), "HOME": name})
        os.environ["FLOWPACK_CACHE_DIR"] = str(work / "cache")
        deploy = [FLOWPACK, "deploy", str(work / "fixtures/flows/chat-with-includes"), "--image", IMAGE]
        documents = work / "documents"
        [created] = in_turn(1, [*deploy, "--output", str(documents)], warm=False)
        by_hand = [sys.executable, "-m", "benchmarks.deploy_by_hand", str(documents)]
        ours, theirs = in_turn(RUNS, deploy, by_hand)
    print("| What | flowpack | azure-ai-ml by hand | ratio |\n|---|---|---|---|")
    print(f"| unchanged deployment | {ours} | {theirs} | {theirs.median / ours.median:.1f} |")
    print(f"| first deployment, what is looked at and the sample included | {created} | | |")


if __name__ == "__main__":
    main()
