"""The credentials of a registry, from the Docker configuration and its credential helpers, as `docker` finds them."""

from __future__ import annotations

import json
from typing import Any

from docker import auth
from docker.errors import DockerException

from flowpack import process
from flowpack.errors import FlowpackError, RegistryError
from flowpack.images.reference import DOCKER_HUB
from flowpack.process import Run

_PATIENCE = 60.0
_NONE_KNOWN = "credentials not found"
_TOKEN = "<token>"  # noqa: S105  (what a helper gives as the name where it has an identity token)


def credentials_for(registry: str, run: Run = process.run) -> dict[str, str]:
    """What the engine's API takes; empty where none are known. RegistryError where a helper fails."""
    index = registry == DOCKER_HUB
    server = auth.INDEX_URL if index else registry
    configuration = auth.load_config()
    helper = configuration.get_credential_store(auth.INDEX_NAME if index else registry)
    if helper:
        return _of_helper(helper, server, run)
    try:
        known: dict[str, Any] | None = configuration.resolve_authconfig(auth.INDEX_NAME if index else registry)
    except DockerException as error:
        raise _broken(registry, str(error)) from error
    return {key: str(value) for key, value in (known or {}).items() if value}


def _of_helper(name: str, server: str, run: Run) -> dict[str, str]:
    try:
        done = run((f"docker-credential-{name}", "get"), given=server, timeout=_PATIENCE)
    except FlowpackError as error:
        raise _broken(server, error.message) from error
    if done.returncode != 0:
        words = (done.stdout + done.stderr).strip()
        if _NONE_KNOWN in words:
            return {}
        raise _broken(server, words)
    try:
        answer = json.loads(done.stdout)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError) as error:
        raise _broken(server, f"docker-credential-{name} gave no credentials") from error
    if user == _TOKEN:
        return {"identitytoken": secret, "serveraddress": server}
    return {"username": user, "password": secret, "serveraddress": server}


def _broken(registry: str, words: str) -> RegistryError:
    return RegistryError(
        f"the credentials for {registry} cannot be read",
        detail=words,
        hint="see credHelpers and credsStore in the Docker configuration's config.json",
    )
