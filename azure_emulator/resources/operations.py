"""How far long-running operations are."""

from __future__ import annotations

from azure_emulator.arm import Call, Route
from azure_emulator.messages import Answer
from azure_emulator.resources.quota import LOCATION


def status(call: Call) -> Answer:
    operations = call.services.operations
    return operations.status(operations.get(call.names["operation"]))


def result(call: Call) -> Answer:
    operations = call.services.operations
    return operations.result(operations.get(call.names["operation"]))


ROUTES = [
    # Whoever began it may see how it goes on, with roles on the workspace alone.
    Route("GET", f"{LOCATION}/mfeOperationsStatus/{{operation}}", "", status),
    Route("GET", f"{LOCATION}/mfeOperationResults/{{operation}}", "", result),
]
