"""A certificate authority of the tests' own, and the certificate for every host name that the emulator answers to."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    bundle: Path
    """The authority alone: a client that has this as its bundle trusts nobody else."""
    certificate: Path
    key: Path

    def of_server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def of_client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.bundle))


def issue(folder: Path, *names: str) -> Certificates:
    folder.mkdir(parents=True, exist_ok=True)
    made = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    authority = trustme.CA()
    leaf = authority.issue_cert(*names)
    authority.cert_pem.write_to_path(str(made.bundle))
    leaf.private_key_pem.write_to_path(str(made.key))
    made.certificate.write_bytes(b"".join(part.bytes() for part in leaf.cert_chain_pems))
    return made
