"""An Azure of the tests' own: Azure Resource Manager and Entra ID emulated, the blob service real (Azurite).

``python -m tests.azure_emulator`` starts one for a person; ``AzureEmulator`` is one in a test.
"""

from __future__ import annotations

from tests.azure_emulator.emulator import AzureEmulator
from tests.azure_emulator.faults import Fault
from tests.azure_emulator.setup import Setup

__all__ = ["AzureEmulator", "Fault", "Setup"]
