"""Asks a flow that an online endpoint serves, by this machine's proxies and certificates."""

from __future__ import annotations

import os
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from flowpack.azureml.endpoints.plan import DeployRequest, PlannedDeployment
from flowpack.azureml.endpoints.states import Endpoint
from flowpack.azureml.endpoints.workspace_endpoints import WorkspaceEndpoints
from flowpack.errors import InputError, ServingError
from flowpack.reporting import Reporter
from flowpack.running.scoring import Scored, refuse_unknown_inputs, sample_input, score, served_inputs

_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # Azure's SDKs read them
_DEPLOYMENT = "azureml-model-deployment"

# A route that was made just now takes a moment to lead somewhere; 429 is a server that has its hands full.
_NOT_YET = {None, 429, 502, 503, 504}
_PATIENCE = 60.0
_PAUSE = 3.0


def ask(
    endpoint: Endpoint, bearer: str, inputs: Mapping[str, Any], *, deployment: str | None = None, seconds: float = 300.0
) -> Scored:
    """``deployment`` takes the traffic's place; ServingError with the flow's own words where it answers no 200."""
    if not endpoint.scoring_uri:
        raise InputError(f"endpoint {endpoint.name} has no scoring URI yet: it is {endpoint.state}")
    headers, opener = _headers(bearer, deployment), _opener()
    began = time.monotonic()
    while True:
        try:
            return score(endpoint.scoring_uri.removesuffix("/score"), inputs, seconds, headers=headers, opener=opener)
        except ServingError as error:
            if error.status not in _NOT_YET or time.monotonic() - began > _PATIENCE:
                raise
            time.sleep(_PAUSE)


def refuse_unknown_inputs_of(
    endpoint: Endpoint, bearer: str, inputs: Mapping[str, Any], *, deployment: str | None = None
) -> None:
    """Raises InputError for an input that the served flow does not have, if its swagger.json says which it has."""
    known = served_inputs(endpoint.scoring_uri.removesuffix("/score"), _headers(bearer, deployment), _opener())
    if known is not None:
        refuse_unknown_inputs(inputs, known)


def _headers(bearer: str, deployment: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {bearer}", **({_DEPLOYMENT: deployment} if deployment else {})}


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=_context()))


def with_sample(planned: PlannedDeployment, given: Mapping[str, Any], reporter: Reporter) -> PlannedDeployment:
    """The plan with the flow's sample and what was given over it; a flow that has none is not tested, which is told."""
    try:
        sample = sample_input(planned.model.source.flow, given)
    except InputError as error:
        if error.location or given:  # a broken sample, not a missing one
            raise
        reporter.warning(f"the deployment is not tested: {error.message}")
        return planned
    return replace(planned, request=replace(planned.request, sample=sample))


def scorer(endpoints: WorkspaceEndpoints, request: DeployRequest, reporter: Reporter) -> Callable[[Endpoint, str], Any]:
    """Sends the request's sample to one deployment, and gives its answer."""

    def score_deployment(endpoint: Endpoint, deployment: str) -> Any:
        found = endpoints.existing(endpoint.name)  # its scoring URI may be new
        bearer, sample = endpoints.bearer(found), request.sample or {}
        with reporter.task(f"scoring the sample with deployment {deployment}"):
            scored = ask(found, bearer, sample, deployment=deployment, seconds=request.seconds)
        reporter.info(f"deployment {deployment} answered the sample in {scored.seconds:.2f} s")
        return scored.answer

    return score_deployment


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    bundle = next((os.environ[name] for name in _BUNDLES if os.environ.get(name)), None)
    if bundle:
        context.load_verify_locations(bundle)
    return context
