"""An Azure to try flowpack with: Azure Resource Manager and Entra ID emulated, the blob service real (Azurite).

``python -m azure_emulator`` starts one for a person; ``AzureEmulator`` is one in a test.
"""

from __future__ import annotations

from azure_emulator.emulator import AzureEmulator
from azure_emulator.faults import Fault
from azure_emulator.setup import Setup

__all__ = ["AzureEmulator", "Fault", "Setup"]
