"""Virtual environments made from a lock, kept by what went into them."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

from flowpack import process
from flowpack.caches import cache_folder
from flowpack.dependencies.index_configuration import pip_settings, uv_configuration
from flowpack.dependencies.index_options import IndexOptions
from flowpack.dependencies.lock_review import check_installable
from flowpack.errors import FlowpackError, Location, LockError, ToolError
from flowpack.images.build_stage.download_packages import RefusedError, read_lock
from flowpack.process import Completed, Run
from flowpack.running.served import Narrate
from flowpack.uv_program import find_uv_program

_FORMAT = "1"
_ABANDONED = 24 * 3600


def virtual_environment(
    lock: Path, serving: Path, *, python: str, run: Run = process.run, narrate: Narrate = lambda _: None
) -> Path:
    """The environment with exactly the lock's packages and the serving package, made if it is not in the cache.

    It is made beside its place and renamed when complete: two processes at once do not meet, and one that is killed
    leaves nothing that looks whole. Programs in its ``bin`` still name the first path: start modules, with ``-m``.
    """
    environments = cache_folder("environments")
    key = f"{python}-{_digest(lock, serving)}"
    place = environments / key
    if _works(place):
        return place
    interpreter = find_interpreter(python, run)
    narrate(f"making an environment for Python {python} from {lock.name}; it is kept for the next time")
    _remove_abandoned(environments)
    with tempfile.TemporaryDirectory(prefix=f".{key}.", dir=environments, ignore_cleanup_errors=True) as beside:
        made = Path(beside) / "environment"
        _install(made, lock, interpreter, run, narrate)
        packages = next((made / "lib").glob("python*/site-packages"))
        shutil.copytree(serving, packages / "flowpack_serving", ignore=shutil.ignore_patterns("__pycache__"))
        if place.exists() and not _works(place):
            shutil.rmtree(place)
        with contextlib.suppress(OSError):  # another process was quicker, and what it made is the same
            made.rename(place)
    return place


def find_interpreter(python: str, run: Run = process.run) -> Path:
    """This process's own where its version fits, else ``python<version>`` on PATH, else one that uv knows of."""
    if python == f"{sys.version_info.major}.{sys.version_info.minor}":
        return Path(sys.executable)
    candidates = [shutil.which(f"python{python}")]
    uv = find_uv_program()
    if uv is not None:
        found = run((uv, "python", "find", "--no-project", "--no-python-downloads", python))
        candidates.append(found.stdout.strip() if found.returncode == 0 else None)
    for candidate in filter(None, candidates):
        if _is_version(candidate, python, run):
            return Path(candidate)
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    raise ToolError(
        f"the lock is for Python {python}, and this machine has no python{python}",
        hint=f"install Python {python}, or build for the one that is here: --python {running}",
    )


def _install(place: Path, lock: Path, interpreter: Path, run: Run, narrate: Narrate) -> None:
    check_installable(lock)
    try:
        read_lock(lock.read_text(encoding="utf-8"))
    except RefusedError as error:
        raise LockError(str(error), location=Location(lock)) from None
    uv = find_uv_program()
    began = time.monotonic()
    if uv is not None:
        _install_with_uv(uv, place, lock, interpreter, run)
    else:
        _checked(run([str(interpreter), "-I", "-m", "venv", str(place)], cwd=place.parent), lock)
        options = ["--disable-pip-version-check", "--no-input", "--quiet", "--require-hashes", "--no-deps"]
        options += ["--only-binary", ":all:", *_built_wheels(lock), "-r", str(lock.absolute())]
        install = [str(place / "bin" / "python"), "-I", "-m", "pip", "install", *options]
        _checked(run(install, cwd=place.parent), lock)
    narrate(f"installed {lock.name} with {'uv' if uv else 'pip'} in {time.monotonic() - began:.1f} s")


def _built_wheels(lock: Path) -> list[str]:
    """Those that flowpack built from source distributions lie beside a build's lock."""
    wheels = lock.absolute().parent / "wheels"
    return ["--find-links", str(wheels)] if wheels.is_dir() else []


def _install_with_uv(uv: str, place: Path, lock: Path, interpreter: Path, run: Run) -> None:
    """Where pip would look for packages; away from the working directory, whose project may have settings for uv."""
    configuration = uv_configuration(IndexOptions(), pip_settings())
    environment = {**configuration.environment, "VIRTUAL_ENV": None, "CONDA_PREFIX": None}
    options = ["--quiet", "--color", "never", "--no-progress", "--no-python-downloads", "--no-config"]
    made = run(
        [uv, "venv", *options, "--no-project", "--relocatable", "--python", str(interpreter), str(place)],
        cwd=place.parent,
        env=environment,
    )
    _checked(made, lock)
    python = str(place / "bin" / "python")
    synchronized = run(
        [
            *(uv, "pip", "sync", *options, "--require-hashes", "--no-build", "--python", python),
            *configuration.arguments,
            *_built_wheels(lock),
            str(lock.absolute()),
        ],
        cwd=place.parent,
        env=environment,
    )
    _checked(synchronized, lock)


def _checked(done: Completed, lock: Path) -> None:
    if done.returncode != 0:
        words = "\n".join((done.stderr or done.stdout).splitlines()[-30:])
        raise ToolError(f"{lock.name} cannot be installed", detail=words)


def _digest(lock: Path, serving: Path) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {sys.platform}\n".encode())
    for path in (lock, *sorted(serving.glob("*.py"))):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:24]


def _works(place: Path) -> bool:
    """The interpreter that it was made from may have been removed since."""
    return (place / "bin" / "python").exists()


def _is_version(program: str, python: str, run: Run) -> bool:
    """Asked, since a version manager's stand-in is on PATH for versions that are not installed."""
    try:
        done = run((program, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"), timeout=30)
    except FlowpackError:
        return False
    return done.returncode == 0 and done.stdout.strip() == python


def _remove_abandoned(environments: Path) -> None:
    for path in environments.glob(".*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED:
                shutil.rmtree(path, ignore_errors=True)
