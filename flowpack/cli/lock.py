"""``flowpack lock``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flowpack.cli.options import (
    answer_options,
    base_image_option,
    build_request,
    flow_options,
    package_options,
    source_argument,
)
from flowpack.cli.output import answer
from flowpack.cli.reporters import reporter_for
from flowpack.pipeline.lock import lock


@click.command("lock")
@source_argument
@click.option("--upgrade", is_flag=True, help="Take the newest versions instead of keeping pins that still fit.")
@click.option("--check", is_flag=True, help="Only check whether the lockfile is fresh; exit 1 if it is not.")
@flow_options
@package_options
@base_image_option
@answer_options
def command(source: Path, *, upgrade: bool, check: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Write or renew requirements.lock beside the flow at SOURCE.

    A build uses it as it is for as long as it is fresh: its checksum covers the requirements, what serving needs, the
    Python and the platform. Packages are taken as wheels, and none of their code runs on this machine.
    """
    request = build_request(source, locked=check, **options)
    path, lockfile = lock(request, upgrade=upgrade, reporter=reporter_for(quiet))
    document = {
        "lockfile": str(path),
        "digest": lockfile.digest,
        "packages": len(lockfile.pins),
        "origin": lockfile.origin,
    }
    reporter_for(quiet).info(f"{len(lockfile.pins)} packages ({lockfile.origin})")
    answer(document, str(path), as_json)
