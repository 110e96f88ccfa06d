"""Refuses secrets in requirements, similar files and key files, so that no image or model gets them.

``flowpack check`` searches every file. A build does not read 20,000 files for this. It searches those whose names show
what they contain.
"""

from __future__ import annotations

from collections.abc import Iterator

from flowpack.assembly.flow_folder import FlowFolder
from flowpack.checks.secrets import Secret, names_indexes, secrets_in_file
from flowpack.errors import InputError

_ENDINGS = (".txt", ".in", ".lock", ".conf", ".ini", ".toml", ".yaml", ".yml", ".pypirc", ".condarc", ".netrc")
_KEYS = (".pem", ".key", ".p8", ".pk8", ".ppk", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519")
_OF_TOOLS = ("netrc", ".git-credentials", ".npmrc", ".docker/config.json", ".dockerconfigjson")
_ALWAYS = (*_KEYS, *_OF_TOOLS)
_RULE = "FP209"
_HINT = "remove it and revoke it; put an index's credentials into pip.conf or netrc, and use --pip-config for the image"


def refuse_shipped_secrets(folder: FlowFolder) -> None:
    for target, secret in _found(folder):
        from flowpack.checks.suppressions import is_suppressed  # noqa: PLC0415  (mostly there is no secret)

        if not is_suppressed(_RULE, secret.location):  # on purpose
            raise InputError(
                f"'{target}' ships with the flow and contains {secret.kind}", location=secret.location, hint=_HINT
            )


def _found(folder: FlowFolder) -> Iterator[tuple[str, Secret]]:
    for target in folder.files:
        if target.endswith(_ALWAYS) or (target.endswith(_ENDINGS) and names_indexes(target.rpartition("/")[2])):
            yield from ((target, secret) for secret in secrets_in_file(folder.paths[target], folder.flow.roots))
