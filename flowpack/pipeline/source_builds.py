"""The packages of a lock that have no wheel: built apart where that is allowed, kept, and found again by their hash."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from flowpack.caches import cache_folder
from flowpack.dependencies.lock_format import Pin
from flowpack.dependencies.plain_wheels import PLAIN_WHEELS, PlainWheel, plain_wheel
from flowpack.dependencies.requirements import Requirements
from flowpack.dependencies.resolution import choose_resolver
from flowpack.dependencies.resolvers import BuiltWheel, Question, Resolver
from flowpack.dependencies.source_distributions import SourceDistribution, fetch_build_wheels, fetched_source, no_binary
from flowpack.dependencies.target import Target
from flowpack.errors import LockError, RequirementsError
from flowpack.images.base import Base
from flowpack.images.engine import find_engine
from flowpack.images.engine.model import Engine
from flowpack.images.wheel_builds import build_wheel
from flowpack.process import Run, run
from flowpack.reporting import Reporter
from flowpack.temporary import temporary_folder

WHEELS = "wheels"
"""The folder beside a flow's lock in which a repository may keep the wheels that its lock names."""


@dataclass(frozen=True, kw_only=True)
class SourceBuilds:
    """How source distributions become wheels for one flow; ``allowed`` are canonical names, of options and comments."""

    options: frozenset[str]
    base: Base
    flow_folder: Path
    network: str | None = None
    run: Run = run
    engine: Callable[[], Engine] = find_engine

    def allowed(self, requirements: Requirements) -> frozenset[str]:
        return self.options | requirements.allowed_sources

    @contextlib.contextmanager
    def built(self, question: Question, resolver: Resolver, reporter: Reporter) -> Iterator[Question]:
        """The question with the wheels of every allowed package that has none; they lie in a passing folder."""

        allowed = self.allowed(question.requirements)
        _check_no_binary(no_binary(question.requirements), allowed, question.requirements)
        wheels = [self._wheel(each, question, resolver, reporter) for each in sorted(allowed)]
        wheels += [
            self._plain(each, question, reporter) for each in _plain_wheels_for(question) if each.name not in allowed
        ]
        made = tuple(wheel for wheel in wheels if wheel is not None)
        if not made:
            yield question
            return
        with temporary_folder("wheels") as folder:
            for wheel in made:
                shutil.copyfile(wheel.path, folder / wheel.path.name)
            yield replace(question, wheels=folder, built=made)

    def wheels_of(
        self, pins: Sequence[Pin], requirements: Requirements, target: Target, resolver: str, reporter: Reporter
    ) -> tuple[Path, ...]:
        """The wheel of each pin that was built: kept, committed beside the lock, or built again and compared."""
        question = Question(requirements=requirements, serving=(), bounds=(), target=target)

        def chosen() -> Resolver:
            return choose_resolver(resolver, target, self.run, reporter)

        return tuple(
            self._kept(pin.name, pin.hashes) or self._built_again(pin, question, chosen, reporter)
            for pin in pins
            if pin.built_from
        )

    def _wheel(self, name: str, question: Question, resolver: Resolver, reporter: Reporter) -> BuiltWheel | None:
        old = next((pin for pin in question.preferred if pin.name == name and not question.upgrade), None)
        preferred = old.version if old else None
        with fetched_source(name, question.requirements, question.target, self.run, preferred=preferred) as source:
            if isinstance(source, str):
                return None
            origin = f"{source.path.name} {source.hash}"
            kept = self._kept(old.name, old.hashes) if old and old.built_from == origin else None
            path = kept or self._cached(source, question) or self._build(source, question, resolver, reporter)
            return BuiltWheel(
                name=name,
                version=source.version,
                path=path,
                hash=_sha256(path),
                source=source.path.name,
                source_hash=source.hash,
            )

    def _plain(self, plain: PlainWheel, question: Question, reporter: Reporter) -> BuiltWheel | None:
        """None where the indexes do not have its source: an index of one's own may have other tools."""

        path = self._kept(plain.name, (plain.wheel_hash,))
        if path is None:
            try:
                with fetched_source(
                    plain.name,
                    question.requirements,
                    question.target,
                    self.run,
                    version=plain.version,
                    hashes=(plain.source_hash,),
                ) as source:
                    assert not isinstance(source, str)  # noqa: S101  (a version was asked for from source)
                    path = _copied(plain, source.path, reporter)
            except RequirementsError:
                return None
        return BuiltWheel(
            name=plain.name,
            version=plain.version,
            path=path,
            hash=plain.wheel_hash,
            source=plain.source,
            source_hash=plain.source_hash,
        )

    def _kept(self, name: str, hashes: Collection[str]) -> Path | None:
        """A wheel with one of the hashes, wherever it comes from."""
        places = [self.flow_folder / WHEELS, *sorted(cache_folder("wheels").glob("*/"))]
        for place in places:
            for path in sorted(place.glob("*.whl")) if place.is_dir() else ():
                if _names(path, name) and path.is_file() and _sha256(path) in hashes:
                    return path
        return None

    def _cached(self, source: SourceDistribution, question: Question) -> Path | None:
        """Only whole: a file beside it holds its hash."""
        place = cache_folder("wheels") / self._key(source, question)
        for path in sorted(place.glob("*.whl")):
            with contextlib.suppress(OSError):
                if _names(path, source.name) and _hash_file(path).read_text("utf-8") == _sha256(path):
                    return path
        return None

    def _key(self, source: SourceDistribution, question: Question) -> str:
        lines = [source.hash, str(question.target), *self.base.lines]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]

    def _build(self, source: SourceDistribution, question: Question, resolver: Resolver, reporter: Reporter) -> Path:
        plain = plain_wheel(source.hash)
        if plain is not None:
            return _copied(plain, source.path, reporter)
        engine = self.engine()  # one that does not answer is known before anything else
        place = cache_folder("wheels") / self._key(source, question)
        with temporary_folder("tools") as folder:
            tools, out = folder / "tools", folder / "out"
            tools.mkdir()
            out.mkdir()
            fetch_build_wheels(source, question, resolver, tools, self.run)
            wheel = build_wheel(
                engine,
                self.base,
                question.target,
                source,
                tools=tools,
                folder=out,
                network=self.network,
                reporter=reporter,
            )
            kept = _keep(wheel, place)
        reporter.info(
            f"{wheel.name} is kept in {place}; commit it in '{WHEELS}' beside the lock to build it once for all"
        )
        return kept

    def _built_again(self, pin: Pin, question: Question, resolver: Callable[[], Resolver], reporter: Reporter) -> Path:
        file, _, digest = (pin.built_from or "").partition(" ")
        reporter.info(f"the wheel of {pin.requirement} is not here: it is built again from {file}")
        with fetched_source(
            pin.name, question.requirements, question.target, self.run, version=pin.version, hashes=(digest,)
        ) as source:
            assert not isinstance(source, str)  # noqa: S101  (a version was asked for from source)
            path = self._build(source, question, resolver(), reporter)
        if _sha256(path) not in pin.hashes:
            raise LockError(
                f"the wheel of {pin.requirement}, built again from {file}, differs from the one in the lock",
                hint=f"put the lock's own wheel into '{WHEELS}' beside the lock, or make the lock again with"
                f" `flowpack lock --upgrade --allow-source {pin.name}`",
            )
        return path


def _plain_wheels_for(question: Question) -> tuple[PlainWheel, ...]:
    """flowpack itself adds promptflow-tools, which requires them."""
    asked = {line.name for line in question.requirements.lines} | {each.name for each in question.serving}
    if "promptflow-tools" not in asked:
        return ()
    return PLAIN_WHEELS


def _copied(plain: PlainWheel, source: Path, reporter: Reporter) -> Path:
    reporter.info(f"{plain.name} {plain.version} has no wheel: its files are copied into one, and nothing of it runs")
    with temporary_folder("wheel") as folder:
        wheel = folder / plain.file
        wheel.write_bytes(plain.content(source))
        assert _sha256(wheel) == plain.wheel_hash  # noqa: S101  (the source has the hash that it is of)
        return _keep(wheel, cache_folder("wheels") / "plain")


def _keep(wheel: Path, place: Path) -> Path:
    """In the cache, with its hash beside it; another process may do the same."""
    place.mkdir(exist_ok=True)
    passing = place / f".{os.getpid()}"
    shutil.copyfile(wheel, passing)
    digest = _sha256(passing)
    passing.replace(place / wheel.name)
    _hash_file(place / wheel.name).write_text(digest, "utf-8")
    return place / wheel.name


def _check_no_binary(names: frozenset[str], allowed: frozenset[str], requirements: Requirements) -> None:
    for name in sorted(names - allowed - {":none:"}):
        every = name.startswith(":")
        raise RequirementsError(
            f"--no-binary {name} asks for source distributions, and building them runs their authors' code",
            location=requirements.location,
            hint="leave it out, and allow packages one by one: --allow-source NAME"
            if every
            else f"leave it out, or allow it: --allow-source {name}",
        )


def _hash_file(wheel: Path) -> Path:
    return wheel.with_name(f"{wheel.name}.sha256")


def _names(path: Path, name: str) -> bool:
    try:
        return parse_wheel_filename(path.name)[0] == name
    except (InvalidWheelFilename, ValueError):
        return False


def _sha256(path: Path) -> str:
    summed = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1024 * 1024):
            summed.update(part)
    return f"sha256:{summed.hexdigest()}"
