"""FP541 to FP544: whether a deployment's settings fit its instance type and its serving engine.

The sources: docs/reference/rules/README.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from flowpack.azureml.skus import cores, memory
from flowpack.checks.azure_documents import AzureDocument, Kind
from flowpack.checks.findings import Severity
from flowpack.checks.registry import Problem, rule
from flowpack.checks.subject import Subject
from flowpack.checks.values import number_of, text_of

_WORKERS, _THREADS, _ENGINE = "PROMPTFLOW_WORKER_NUM", "PROMPTFLOW_WORKER_THREADS", "PROMPTFLOW_SERVING_ENGINE"
_ENOUGH_MEMORY = 8


@rule("FP541", "too-many-workers", Severity.WARNING, "There are more than two workers per core.")
def too_many_workers(subject: Subject) -> Iterator[Problem]:
    for document in subject.documents_of(Kind.DEPLOYMENT):
        instance, workers = text_of(document.get("instance_type")) or "", _number(document, _WORKERS)
        there = cores(instance)
        if there and workers and workers > 2 * there:
            message = f"{workers} workers share the {there} cores of {instance}"
            yield Problem(message, document.variables[_WORKERS].location, f"use at most {2 * there}, twice the cores")


@rule("FP542", "threads-of-fastapi", Severity.WARNING, "Threads are set, but the FastAPI engine does not use them.")
def threads_of_fastapi(subject: Subject) -> Iterator[Problem]:
    for document in subject.documents_of(Kind.DEPLOYMENT):
        threads = _number(document, _THREADS)
        if threads and threads > 1 and _is_fastapi(document):
            message = f"{threads} threads are set, but workers of the FastAPI engine have none"
            yield Problem(message, document.variables[_THREADS].location, f"use more workers, or {_ENGINE}: flask")


@rule("FP543", "too-many-requests", Severity.WARNING, "An instance accepts more requests than its workers can handle.")
def too_many_requests(subject: Subject) -> Iterator[Problem]:
    for document in subject.documents_of(Kind.DEPLOYMENT):
        value = document.get("request_settings", "max_concurrent_requests_per_instance")
        requests, workers = number_of(value), _number(document, _WORKERS)
        threads = _number(document, _THREADS) or 1
        if value is None or requests is None or not workers or _is_fastapi(document):
            continue  # launchers differ in their default for workers, and a FastAPI worker takes several requests
        at_once = workers * threads
        if requests > 2 * at_once:
            message = (
                f"the instance accepts {requests} requests at a time, but {workers} workers × {threads} threads "
                f"handle only {at_once}"
            )
            yield Problem(message, value.location, f"use {at_once}, or up to {2 * at_once} for requests below 200 ms")


@rule("FP544", "small-instance", Severity.WARNING, "The instance has less memory than Microsoft recommends for a flow.")
def small_instance(subject: Subject) -> Iterator[Problem]:
    for document in subject.documents_of(Kind.DEPLOYMENT):
        value = document.get("instance_type")
        instance = text_of(value) or ""
        there = memory(instance)
        if value is None or there is None or there > _ENOUGH_MEMORY or not (document.serves_a_flow or subject.flow):
            continue
        message = f"{instance} has {there:g} GB of memory, but a flow should have more than {_ENOUGH_MEMORY} GB"
        yield Problem(message, value.location, "use Standard_DS3_v2 with 14 GB, for example")


def _number(document: AzureDocument, variable: str) -> int | None:
    """The variable's number; None if it is not set, or is not a number (FP524)."""
    value = document.variables.get(variable)
    text = str(value.data) if value is not None else ""
    return int(text) if re.fullmatch(r"\d+", text) else None


def _is_fastapi(document: AzureDocument) -> bool:
    return (text_of(document.variables.get(_ENGINE)) or "").strip().lower() == "fastapi"
