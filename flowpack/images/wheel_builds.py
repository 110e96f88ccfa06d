"""Builds a wheel from a source distribution in a container of its own, which is taken to be hostile.

Its author's code runs there as a user without rights, with no network, no secret, no variable of this machine, no cache
and no folder of it. Files go in and out through the engine's API, so it works with an engine elsewhere too. One file
is taken out: the wheel of the name and version that were asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import shutil
import stat
import zipfile
from email.parser import BytesHeaderParser
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from flowpack.dependencies.source_distributions import SourceDistribution
from flowpack.dependencies.target import Target
from flowpack.errors import InputError
from flowpack.images.base import Base
from flowpack.images.engine.model import ContainerRequest, Engine, ImageBuild
from flowpack.images.plan import FILE_TIME, USER
from flowpack.images.reference import ImageReference
from flowpack.reporting import SILENT, Reporter
from flowpack.temporary import temporary_folder

FOLDER = "/source-build"
"""The container's folder for the source and the wheel."""

_TEMPORARY = f"{FOLDER}/tmp"  # noqa: S108  (in the container)
_PATIENCE = 1800  # s
_LARGEST = 1024 * 1024 * 1024
_LARGEST_METADATA = 4 * 1024 * 1024
_PROGRAM = Path(__file__).with_name("build_wheel.py")
_PYTHON_VERSION = re.compile(r"^ARG PYTHON_VERSION\b.*")
_ALONE = {
    "network_mode": "none",
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": 1024,
    "ulimits": [{"name": "fsize", "soft": _LARGEST, "hard": _LARGEST}],
    "tmpfs": {"/tmp": "rw,size=64m,mode=1777"},  # noqa: S108
    "log_config": {"type": "json-file", "config": {"max-size": "1m", "max-file": "1"}},
}
_VARIABLES = {
    "HOME": _TEMPORARY,
    "TMPDIR": _TEMPORARY,
    "SOURCE_DATE_EPOCH": str(FILE_TIME),
    "PYTHONHASHSEED": "0",
    "LC_ALL": "C.UTF-8",
}


def build_wheel(
    engine: Engine,
    base: Base,
    target: Target,
    source: SourceDistribution,
    *,
    tools: Path,
    folder: Path,
    network: str | None = None,
    reporter: Reporter = SILENT,
) -> Path:
    """The wheel in ``folder``; ``tools`` has ``build.txt`` and ``wheels``, what it is built with.

    ``network`` is for the steps of the base's own Dockerfile; what the package runs has none.
    """
    image = _base_image(engine, base, target, network, reporter)
    request = ContainerRequest(
        image=image,
        name=f"flowpack-build-{secrets.token_hex(6)}",
        environment=_VARIABLES,
        labels={"flowpack.build": "1"},
        host=_ALONE,
        settings={
            "user": f"{USER}:{USER}",
            "working_dir": FOLDER,
            "volumes": [FOLDER],
            "entrypoint": ["python3"],
            "command": ["-I", f"{FOLDER}/in/build_wheel.py", source.path.name],
        },
        proxies=False,  # the Docker configuration's, often with a password
    )
    container = engine.create(request, reporter)
    with (
        temporary_folder("wheel") as passing,
        contextlib.ExitStack() as stack,
        reporter.task(f"building a wheel of {source.path.name} in a container without network") as task,
    ):
        stack.callback(container.remove)
        container.copy_in(_work(source, tools, passing / "work"), FOLDER)
        container.start()
        status = container.wait(_PATIENCE)
        logs = container.logs(tail=60)
        if status != 0:
            raise InputError(
                f"'{source.path.name}' does not build",
                detail=logs,
                hint="a package that needs a compiler needs a base image with one (--base-image, Dockerfile.base);"
                " or build a wheel of it yourself, for a folder that --find-links names",
            )
        file = _the_wheel(logs, source)
        taken = passing / "out"
        taken.mkdir()
        container.copy_out(f"{FOLDER}/out/{file}", taken)
        _check_wheel(taken / file, source)
        task.finish(f"built {file}")
        return Path(shutil.move(taken / file, folder / file))


def _base_image(engine: Engine, base: Base, target: Target, network: str | None, reporter: Reporter) -> str:
    """The image that the flow's image is built from, made from its lines alone: it has no file of the flow."""
    with temporary_folder("base") as folder:
        lines = [_PYTHON_VERSION.sub(f"ARG PYTHON_VERSION={target.python}", line) for line in base.lines]
        text = "\n".join(lines) + "\n"
        (folder / "Dockerfile").write_text(text, "utf-8")
        # A tag of its own content, so that many builds leave one image.
        tag = ImageReference.parse(f"flowpack/base:{hashlib.sha256(text.encode()).hexdigest()[:16]}")
        wanted = ImageBuild(context=folder, tag=tag, platform=target.platform, network=network)
        return engine.build(wanted, reporter).id


def _work(source: SourceDistribution, tools: Path, work: Path) -> Path:
    """What the container gets. Files are root's there: readable by the user that builds, and no more."""
    for name_of_part in ("in", "out", "tmp"):
        (work / name_of_part).mkdir(parents=True)
    shutil.copyfile(source.path, work / "in" / source.path.name)
    shutil.copyfile(_PROGRAM, work / "in" / _PROGRAM.name)
    shutil.copyfile(tools / "build.txt", work / "in" / "build.txt")
    shutil.copytree(tools / "wheels", work / "in" / "wheels")
    for path in work.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    for part in (work / "out", work / "tmp"):
        part.chmod(0o777)
    return work


def _the_wheel(logs: str, source: SourceDistribution) -> str:
    """The one that has the name and version that were asked for; the log is in the hands of what was built."""
    built = dict.fromkeys(found[1] for found in re.finditer(r"^flowpack: built (\S+)$", logs, re.M))
    fitting = [file for file in built if _is_of(file, source)]
    if len(fitting) != 1:
        told = ", ".join(built) or "nothing"
        raise InputError(
            f"'{source.path.name}' was to give one wheel of {source.name} {source.version}, and gave {told}"
        )
    return fitting[0]


def _is_of(file: str, source: SourceDistribution) -> bool:
    if re.fullmatch(r"[A-Za-z0-9._+!-]+", file) is None:
        return False
    try:
        name, version, _, _ = parse_wheel_filename(file)
    except (InvalidWheelFilename, InvalidVersion):
        return False
    return name == source.name and version == Version(source.version)


def _check_wheel(path: Path, source: SourceDistribution) -> None:
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
        raise InputError(f"the wheel of '{source.name}' is not a regular file of at most {_LARGEST // 2**20} MB")
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [each for each in archive.infolist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", each.filename)]
            if len(infos) != 1 or infos[0].file_size > _LARGEST_METADATA:
                raise InputError(f"the wheel of '{source.name}' has no metadata")
            metadata = BytesHeaderParser().parsebytes(archive.read(infos[0]))
    except (zipfile.BadZipFile, OSError, RuntimeError, ValueError):
        raise InputError(f"the wheel of '{source.name}' cannot be read") from None
    try:
        same = Version(metadata["Version"] or "") == Version(source.version)
    except InvalidVersion:
        same = False
    if not same or canonicalize_name(metadata["Name"] or "") != source.name:
        raise InputError(
            f"the wheel of '{source.name}' says that it is {metadata['Name']} {metadata['Version']},"
            f" and {source.version} was asked for"
        )
