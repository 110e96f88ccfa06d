"""``flowpack lock``."""

from __future__ import annotations

from pathlib import Path

import click

from flowpack.cli.options import (
    BaseOptions,
    Console,
    FlowOptions,
    PackageOptions,
    base_image_option,
    build_request,
    console_options,
    flow_options,
    network_option,
    package_options,
    source_argument,
)
from flowpack.pipeline.lock import lock


@click.command("lock")
@source_argument
@click.option("--upgrade", is_flag=True, help="Take the newest versions instead of keeping pins that still fit.")
@click.option("--check", is_flag=True, help="Only check whether the lockfile is fresh; exit 1 if it is not.")
@flow_options
@package_options
@base_image_option
@network_option
@console_options
def command(
    source: Path,
    *,
    upgrade: bool,
    check: bool,
    base_image: str | None,
    network: str | None,
    flow_options: FlowOptions,
    package_options: PackageOptions,
    console: Console,
) -> None:
    """Write or renew requirements.lock beside the flow at SOURCE.

    A build uses it as it is for as long as it is fresh: its checksum covers the requirements, what serving needs, the
    Python and the platform. Packages are taken as wheels, and none of their code runs on this machine.
    """
    base = BaseOptions(locked=check, base_image=base_image)
    request = build_request(source, flow_options, package_options, base, network=network)
    path, lockfile = lock(request, upgrade=upgrade, reporter=console.reporter())
    document = {
        "lockfile": str(path),
        "digest": lockfile.digest,
        "packages": len(lockfile.pins),
        "origin": lockfile.origin,
    }
    console.answer(document, str(path))
