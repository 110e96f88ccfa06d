"""The machines of the region, and how many cores of each family are in use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from azure_emulator.arm import SUBSCRIPTION, Call, Route
from azure_emulator.messages import Answer, Refusal
from azure_emulator.roles import ML
from azure_emulator.setup import Setup
from azure_emulator.store import Document, Store

LOCATION = f"{SUBSCRIPTION}/providers/Microsoft.MachineLearningServices/locations/{{location}}"


@dataclass(frozen=True)
class Size:
    name: str
    family: str
    cores: int
    memory: float
    gpus: int = 0
    reserves: bool = True
    """Whether a managed endpoint keeps a fifth more of them, for its own updates."""


SIZES = (
    Size("Standard_DS1_v2", "standardDSv2Family", 1, 3.5),
    Size("Standard_DS2_v2", "standardDSv2Family", 2, 7.0),
    Size("Standard_DS3_v2", "standardDSv2Family", 4, 14.0),
    Size("Standard_DS4_v2", "standardDSv2Family", 8, 28.0),
    Size("Standard_D4s_v3", "standardDSv3Family", 4, 16.0),
    Size("Standard_E4s_v3", "standardESv3Family", 4, 32.0),
    Size("Standard_E16s_v3", "standardESv3Family", 16, 128.0),
    Size("Standard_F2s_v2", "standardFSv2Family", 2, 4.0),
    Size("Standard_F4s_v2", "standardFSv2Family", 4, 8.0),
    Size("Standard_NC24ads_A100_v4", "standardNCADSA100v4Family", 24, 220.0, 1, reserves=False),
)


def size(name: str) -> Size | None:
    return next((one for one in SIZES if one.name.lower() == name.lower()), None)


def needed(name: str, instances: int) -> int:
    """Cores that so many instances take; in whole numbers, as 1.2 times 5 is a little more than 6."""
    found = size(name)
    if found is None:
        return 0
    return (math.ceil(12 * instances / 10) if found.reserves else instances) * found.cores


def used(setup: Setup, store: Store, family: str, *, but: str = "") -> int:
    """Cores of a family that managed deployments have, ``but`` one of them."""
    total = 0
    for one in store.containing(f"{setup.workspace_id}/onlineEndpoints/"):
        found = size(one.get("properties", {}).get("instanceType") or "")
        if found and found.family == family and one["kind"] == "Managed" and one["id"] != but:
            total += needed(found.name, one["sku"]["capacity"])
    return total


def list_sizes(call: Call) -> Answer:
    _check_location(call)
    return Answer.of({"value": [_as_value(one) for one in SIZES]})


def _as_value(one: Size) -> dict[str, Any]:
    return {
        "name": one.name,
        "family": one.family,
        "vCPUs": one.cores,
        "gpus": one.gpus,
        "osVhdSizeMB": 1047552,
        "maxResourceVolumeMB": 28672,
        "memoryGB": one.memory,
        "lowPriorityCapable": True,
        "premiumIO": True,
        "supportedComputeTypes": ["AmlCompute", "ComputeInstance", "ManagedOnlineEndpoint"],
    }


def list_usages(call: Call) -> Answer:
    _check_location(call)
    setup, limits = call.setup, call.setup.quota
    of_family = {family: used(setup, call.store, family) for family in limits}
    base = f"/subscriptions/{setup.subscription_id}/providers/Microsoft.MachineLearningServices"
    value = [
        _usage(
            setup, f"{base}/workspaces//vmFamily/{family}/usages", "vmFamily", _title(family), of_family[family], limit
        )
        for family, limit in limits.items()
    ]
    total = "Total Cluster Dedicated Regional vCPUs"
    whole = sum(limits.values())
    value.append(
        _usage(
            setup, f"{base}/workspaces//dedicatedCores/usages", "dedicatedCores", total, sum(of_family.values()), whole
        )
    )
    return Answer.of({"value": value})


def _usage(setup: Setup, identifier: str, kind: str, title: str, current: int, limit: int) -> Document:
    return {
        "id": identifier,
        "type": f"{ML.rpartition('/')[0]}/{kind}/usages",
        "amlWorkspaceLocation": setup.location,
        "unit": "Count",
        "currentValue": current,
        "limit": limit,
        "name": {"value": title, "localizedValue": title},
    }


def _title(family: str) -> str:
    """standardDSv2Family: "Standard DSv2 Family Cluster Dedicated vCPUs"."""
    return f"Standard {family.removeprefix('standard').removesuffix('Family')} Family Cluster Dedicated vCPUs"


def _check_location(call: Call) -> None:
    named = call.names["location"]
    if named.lower() != call.setup.location:
        message = f"No registered resource provider found for location '{named}' and API version."
        raise Refusal(400, "NoRegisteredProviderFound", message)


ROUTES = [
    Route("GET", f"{LOCATION}/vmSizes", "Microsoft.MachineLearningServices/locations/vmsizes/read", list_sizes),
    Route("GET", f"{LOCATION}/usages", "Microsoft.MachineLearningServices/locations/usages/read", list_usages),
]
