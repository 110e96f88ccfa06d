"""Virtual environments made from a lock, kept by what went into them."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from flowpack import process
from flowpack.dependencies.index_configuration import pip_settings, uv_configuration
from flowpack.dependencies.index_options import IndexOptions
from flowpack.dependencies.lock_review import check_installable
from flowpack.errors import FlowpackError, ToolError
from flowpack.kept_environments import damaged_packages, kept_environment
from flowpack.process import Completed, Run
from flowpack.reporting import SILENT, Reporter, Task
from flowpack.uv_program import find_uv_program

_FORMAT = "2"
_PIN = re.compile(r"[A-Za-z0-9][\w.-]*\s*(?:==|@)")
_BETWEEN_COUNTS = 0.5  # s


def virtual_environment(
    lock: Path, serving: Path, *, python: str, run: Run = process.run, reporter: Reporter = SILENT
) -> Path:
    """The environment with exactly the lock's packages and the serving package, made if the cache has none that is
    whole. Programs in its ``bin`` name the path that it was made at: start modules, with ``-m``.

    Its files are its own, and its bytecode is in it from the start: what runs from it need not write into it.
    """

    def make(place: Path) -> None:
        interpreter = find_interpreter(python, run)
        _install(place, lock, interpreter, run, reporter)
        packages = next((place / "lib").glob("python*/site-packages"))
        target = packages / "flowpack_serving"
        shutil.copytree(serving, target, ignore=shutil.ignore_patterns("__pycache__"))
        _checked(run([str(place / "bin" / "python"), "-I", "-m", "compileall", "-q", str(target)], cwd=place), lock)

    key = f"{python}-{_digest(lock, serving)}"
    return kept_environment("environments", key, make, name=lock.name, reporter=reporter)


def find_interpreter(python: str, run: Run = process.run) -> Path:
    """This process's own where its version fits, else ``python<version>`` on PATH, else one that uv knows of."""
    if python == f"{sys.version_info.major}.{sys.version_info.minor}":
        return Path(sys.executable)
    candidates = [process.find_program(f"python{python}")]
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


def _install(place: Path, lock: Path, interpreter: Path, run: Run, reporter: Reporter) -> None:
    check_installable(lock)
    uv = find_uv_program()
    total = sum(1 for line in lock.read_text(encoding="utf-8").splitlines() if _PIN.match(line))
    with reporter.task(f"installing {total} packages into a virtual environment") as task, _counted(task, place, total):
        if uv is not None:
            _install_with_uv(uv, place, lock, interpreter, run)
            damaged = damaged_packages(place)
            if damaged:
                reporter.info(f"uv's cache is damaged ({', '.join(damaged)}): installing without it")
                shutil.rmtree(place)
                _install_with_uv(uv, place, lock, interpreter, run, more=("--no-cache",))
        else:
            _checked(run([str(interpreter), "-I", "-m", "venv", str(place)], cwd=place.parent), lock)
            options = ["--disable-pip-version-check", "--no-input", "--quiet", "--require-hashes", "--no-deps"]
            options += ["--only-binary", ":all:", *_built_wheels(lock), "-r", str(lock.absolute())]
            install = [str(place / "bin" / "python"), "-I", "-m", "pip", "install", *options]
            _checked(run(install, cwd=place.parent), lock)
        task.finish(f"installed {total} packages with {'uv' if uv else 'pip'}")


@contextlib.contextmanager
def _counted(task: Task, place: Path, total: int) -> Iterator[None]:
    """Reports how many packages are installed already: neither uv nor pip says it where no terminal is."""
    ended = threading.Event()

    def count() -> None:
        while not ended.wait(_BETWEEN_COUNTS):
            installed = sum(1 for _ in place.glob("lib/python*/site-packages/*.dist-info"))
            task.advance(min(installed, total), total)

    counter = threading.Thread(target=count, name="flowpack-packages", daemon=True)
    counter.start()
    try:
        yield
    finally:
        ended.set()
        counter.join()


def _built_wheels(lock: Path) -> list[str]:
    """Those that flowpack built from source distributions lie beside a build's lock."""
    wheels = lock.absolute().parent / "wheels"
    return ["--find-links", str(wheels)] if wheels.is_dir() else []


def _install_with_uv(
    uv: str, place: Path, lock: Path, interpreter: Path, run: Run, *, more: tuple[str, ...] = ()
) -> None:
    """Where pip would look for packages; away from the working directory, whose project may have settings for uv.

    Files are copied: linked to uv's cache, an edit of one environment would be in it, and in every later one.
    """
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
            *("--link-mode", "copy", "--compile-bytecode", *more),
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


def _is_version(program: str, python: str, run: Run) -> bool:
    """Runs the program, since a version manager may put shims on PATH for versions that are not installed."""
    try:
        done = run((program, "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"), timeout=30)
    except FlowpackError:
        return False
    return done.returncode == 0 and done.stdout.strip() == python
