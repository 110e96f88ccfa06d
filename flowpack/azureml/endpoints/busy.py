"""Waits while another change of an endpoint is under way: Azure makes one at a time and refuses the next."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from flowpack.azureml.limits import BUSY_PAUSE, LONGEST_BUSY_WAIT
from flowpack.errors import AzureError
from flowpack.reporting import Reporter

Result = TypeVar("Result")


class EndpointBusy(Exception):  # noqa: N818  (an answer of the service, not a fault)
    """Another change is under way. What was read from the endpoint before it may be out of date."""


def retry_while_busy(
    attempt: Callable[[], Result],
    reporter: Reporter,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Calls ``attempt`` until it raises no EndpointBusy. ``attempt`` reads the endpoint each time."""
    waited = 0.0  # pauses alone: an attempt takes time of its own before Azure refuses it
    while True:
        try:
            return attempt()
        except EndpointBusy as busy:
            if waited >= LONGEST_BUSY_WAIT:
                raise AzureError(
                    f"{busy}: another change of it did not end in {LONGEST_BUSY_WAIT / 60:.0f} min",
                    hint="`flowpack endpoint show` shows its state; deploy again once the other change has ended",
                ) from busy
            if not waited:
                reporter.info(f"{busy}: waiting for another change of it to end")
        sleep(BUSY_PAUSE)
        waited += BUSY_PAUSE
