"""Azure's limits, counts and times that flowpack knows, each with where it comes from."""

from __future__ import annotations

from typing import Any

RETRIES: dict[str, Any] = {"retry_status": 6, "retry_read": 5, "retry_connect": 4}
"""azure-core waits as long as Retry-After asks, else longer each time; by itself it tries 3 times again."""
