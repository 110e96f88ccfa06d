"""Azure ML's limits, shared by checks, plans and rollouts, and azure-core's retry settings."""

from __future__ import annotations

import re
from typing import Any

# Names, from Azure ML's limits for online endpoints: https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas
NAME = re.compile(r"[a-zA-Z](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?")
"""Of an endpoint or a deployment."""
SHORTEST_NAME, LONGEST_NAME = 3, 32
LONGEST_NAMES_ON_KUBERNETES = 62
"""The endpoint's and the deployment's together."""
LONGEST_MODEL_NAME = 255
MODEL_NAME = re.compile(rf"[a-zA-Z0-9][a-zA-Z0-9\-_]{{0,{LONGEST_MODEL_NAME - 1}}}")

# Counts, from the same page.
MOST_DEPLOYMENTS = 20
"""Of an endpoint."""
MOST_INSTANCES = 50
"""Of a deployment."""
MOST_MIRRORED = 50
"""Per cent of an endpoint's traffic."""
UPGRADE_RESERVE = 1.2
"""Managed endpoints keep a fifth more instances free, for upgrades."""

# Milliseconds that a request may take.
LONGEST_REQUEST = 300_000
"""For a model with ``source_flow_id``, and on Kubernetes."""
LONGEST_REQUEST_OF_OTHERS = 180_000

RETRIES: dict[str, Any] = {"retry_status": 6, "retry_read": 5, "retry_connect": 4}
"""azure-core waits as long as Retry-After asks, else longer each time; by itself it tries 3 times again."""

# Seconds. Azure documents no limit; a deployment takes 5 to 20 minutes.
LONGEST_BUSY_WAIT = 1800.0
"""How long flowpack waits for somebody else's change of an endpoint."""
BUSY_PAUSE = 10.0
