"""What a request's handler has besides the documents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from azure_emulator.identity import Identity
from azure_emulator.instances import Instances
from azure_emulator.msi import PATH, ManagedIdentities
from azure_emulator.operations import Operations
from azure_emulator.roles import Roles
from azure_emulator.store import Document


@dataclass(frozen=True)
class Services:
    identity: Identity
    roles: Roles
    operations: Operations
    instances: Instances
    managed: ManagedIdentities
    address: Callable[[], str]
    """The emulator's own, for what runs beside it."""

    def variables(self, endpoint: Document) -> dict[str, str]:
        """How the servers of an endpoint sign in."""
        return {"MSI_ENDPOINT": f"{self.address()}{PATH}", "MSI_SECRET": self.managed.secret(endpoint)}
