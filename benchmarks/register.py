"""An unchanged registration: flowpack, and a script with azure-ai-ml that does the same. A process of its own each."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from azure_emulator import AzureEmulator
from azure_emulator.blobs import find_azurite
from benchmarks.measure import in_turn

FLOWS = Path(__file__).parents[1] / "fixtures"
FLOWPACK = str(Path(sys.executable).with_name("flowpack"))
RUNS = 7


def main() -> None:
    azurite = find_azurite()
    if azurite is None:
        raise SystemExit("there is no Azurite: scripts/real-parts up installs it")
    with tempfile.TemporaryDirectory() as name, AzureEmulator(azurite=azurite) as azure:
        work = Path(name)
        shutil.copytree(FLOWS, work / "fixtures")
        (work / ".git").mkdir()
        os.environ.update({**azure.variables(), **azure.workspace_variables(), "HOME": name})
        os.environ["FLOWPACK_CACHE_DIR"] = str(work / "cache")
        register = [FLOWPACK, "register", str(work / "fixtures/flows/chat-with-includes")]
        out = ["--output", str(work / "model")]
        [created] = in_turn(1, [*register, *out], warm=False)
        local = [*register, "--registry", f"local:{work / 'registry'}"]
        by_hand = [sys.executable, "-m", "benchmarks.register_by_hand", str(work / "model")]
        ours, theirs, on_this_machine = in_turn(RUNS, register, by_hand, local)
        uploads = len(azure.journal.asked("PUT", r"\.blob\."))
    print("| What | flowpack | azure-ai-ml by hand | ratio |\n|---|---|---|---|")
    print(f"| unchanged registration | {ours} | {theirs} | {theirs.median / ours.median:.1f} |")
    print(f"| unchanged registration, local registry | {on_this_machine} | | |")
    print(f"| first registration ({uploads - 1} files uploaded) | {created} | | |")


if __name__ == "__main__":
    main()
