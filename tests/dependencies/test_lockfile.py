"""When the lock next to the flow is used, refused, renewed; which pins a new one keeps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flowpack.dependencies import resolution
from flowpack.dependencies.known_good import Bound
from flowpack.dependencies.lockfile import LOCK_NAME, Lockfile, Pin, lock_dependencies, parse_lock
from flowpack.dependencies.passed_variables import PassedVariable
from flowpack.dependencies.requirements import Requirements
from flowpack.dependencies.resolvers import Question
from flowpack.dependencies.serving_needs import ServingNeeds
from flowpack.dependencies.target import Target
from flowpack.errors import LockError, RequirementsError, UsageError
from tests.dependencies.conftest import Read
from tests.paths import ROOT
from tests.recording import Recording

TARGET = Target.parse("3.11", "linux/amd64")
HASH = f"sha256:{'0' * 64}"


class Scripted:
    """A resolver that answers with the version asked for, or 1, and keeps what it was asked."""

    name = "scripted 1"

    def __init__(self, **pins: Pin) -> None:
        self.pins = pins
        self.asked: list[Question] = []

    def resolve(self, question: Question) -> tuple[Pin, ...]:
        self.asked.append(question)
        wanted = {str(line.name): line.pinned for line in question.requirements.lines}
        wanted |= {each.name: each.text.partition("==")[2] for each in question.serving}
        brought = [pin for name, pin in self.pins.items() if name not in wanted]
        return *brought, *(
            self.pins.get(name, Pin(name, version or "1", (HASH,), ("-r requirements.in",)))
            for name, version in wanted.items()
        )


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    resolver = Scripted()
    monkeypatch.setattr(resolution, "choose_resolver", lambda *_: resolver)
    return resolver


def lock(requirements: Requirements, **more: Any) -> Lockfile:
    return lock_dependencies(requirements, **{"needs": ServingNeeds(), "target": TARGET, **more})


@pytest.fixture
def beside(flow: Path) -> Path:
    return flow / LOCK_NAME


def test_a_lock_holds_the_pins_and_where_they_come_from(read: Read, scripted: Scripted) -> None:
    made = lock(read("flask\n-r more/base.txt\n", more__base="Flask>1\n"))
    assert made.pins["flask"] == "1"
    assert set(made.pins) == {"flask", "flask-cors", "gunicorn", "httpx", "promptflow-core", "uvicorn"}
    found = {pin.name: pin.via for pin in parse_lock(made.text).pins}
    assert found["flask"] == ("-r more/base.txt", "-r requirements.txt")
    assert found["gunicorn"] == ("flowpack, for serving",)
    assert made.origin.startswith("resolved by scripted 1 in ")


def test_no_path_of_this_machine_is_in_it(read: Read, scripted: Scripted, tmp_path: Path) -> None:
    text = lock(read("--find-links wheels\nflask", wheels__x="")).text
    assert str(tmp_path) not in text
    assert "/tmp" not in text


def test_a_fresh_lock_is_used_byte_for_byte(read: Read, scripted: Scripted, beside: Path) -> None:
    made = lock(read("flask"))
    written = made.text.replace("\n", "\r\n").encode()  # as git may check it out
    beside.write_bytes(written)
    again = lock(read("# a comment\n\nFlask   # the same\n"), existing=beside, locked=True)
    assert again.text.encode() == written
    assert again.pins == made.pins
    assert again.inputs_digest == made.inputs_digest
    assert again.origin == "reused requirements.lock"
    assert len(scripted.asked) == 1


def test_a_fresh_lock_loads_and_starts_no_resolver(read: Read, scripted: Scripted, beside: Path, flow: Path) -> None:
    beside.write_text(lock(read("flask")).text)
    program = """
import sys
from pathlib import Path
from flowpack.dependencies.lockfile import lock_dependencies
from flowpack.dependencies.requirements import read_requirements
from flowpack.dependencies.serving_needs import ServingNeeds
from flowpack.dependencies.target import Target

def run(*arguments, **options):
    raise AssertionError(arguments)

made = lock_dependencies(
    read_requirements("requirements.txt", {"requirements.txt": Path("requirements.txt")}),
    needs=ServingNeeds(), target=Target.parse("3.11", "linux/amd64"), existing=Path("requirements.lock"), run=run,
)
loaded = {"uv", "piptools", "pip", "subprocess"} & {name.partition(".")[0] for name in sys.modules} - {"subprocess"}
loaded |= {name for name in sys.modules if name.startswith("flowpack") and "resolver" in name}
print(made.origin, sorted(loaded))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=flow,
        env={"PATH": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "reused requirements.lock []\n", done.stderr


def variations(read: Read) -> dict[str, tuple[Requirements, dict[str, Any], str]]:
    base = read("flask\n-c pins.txt\n", pins="httpx<1\n")
    return {
        "a requirement": (read("flask\nclick\n-c pins.txt"), {}, "requirements: 'click' is new"),
        "a version": (read("flask>1\n-c pins.txt"), {}, "'flask>1' is new; requirements: 'flask' is gone"),
        "a hash": (read(f"flask --hash={HASH}\n-c pins.txt"), {}, f"'flask --hash={HASH}' is new"),
        "a constraint": (read("flask\n-c pins.txt\n", pins="httpx<2"), {}, "constraints: 'httpx<2' is new"),
        "an index": (
            read("-i https://me:pw@example.org/\nflask\n-c pins.txt", pins="httpx<1"),
            {},
            "options: '--index-url https://example.org/' is new",
        ),
        "tools": (base, {"needs": ServingNeeds(tools=True)}, "added for serving: 'promptflow-tools' is new"),
        "python": (
            base,
            {"target": Target.parse("3.12", "linux/amd64")},
            "it is for Python 3.11 on linux/amd64, but Python 3.12 on linux/amd64 is needed",
        ),
        "platform": (base, {"target": Target.parse("3.11", "linux/arm64")}, "Python 3.11 on linux/arm64 is needed"),
    }


@pytest.mark.parametrize(
    "what", ["a requirement", "a version", "a hash", "a constraint", "an index", "tools", "python", "platform"]
)
def test_each_input_makes_a_lock_stale(read: Read, scripted: Scripted, beside: Path, what: str) -> None:
    beside.write_text(lock(read("flask\n-c pins.txt\n", pins="httpx<1\n")).text)
    requirements, options, told = variations(read)[what]
    with pytest.raises(LockError) as raised:
        lock(requirements, existing=beside, locked=True, source="flows/chat", **options)
    assert told in raised.value.message
    assert raised.value.message.startswith("the lock is stale: ")
    assert raised.value.hint == "run `flowpack lock flows/chat` to renew it"
    assert raised.value.location is not None
    assert raised.value.location.path == beside
    assert "pw" not in str(raised.value)


def test_flowpacks_own_bounds_are_an_input(read: Read, scripted: Scripted, beside: Path, monkeypatch: Any) -> None:
    beside.write_text(lock(read("flask")).text)
    monkeypatch.setattr(
        "flowpack.dependencies.lockfile.bounds_of", lambda _: (Bound(requirement="openai<=9", because="seen"),)
    )
    with pytest.raises(LockError, match="known good versions changed"):
        lock(read("flask"), existing=beside, locked=True)


def test_where_the_files_lie_and_who_resolves_are_no_inputs(read: Read, scripted: Scripted, tmp_path: Path) -> None:
    one = lock(read("flask\n-r base.txt", base="click"), resolver="uv")
    other = lock(read("-r more/a.txt", more__a="click\nflask"), resolver="pip-tools")
    assert one.inputs_digest == other.inputs_digest


def test_a_missing_lock_is_refused_with_the_command_that_writes_it(read: Read, beside: Path) -> None:
    with pytest.raises(LockError, match=r"there is no requirements\.lock") as raised:
        lock(read("flask"), existing=beside, locked=True, source="chat")
    assert raised.value.hint == "run `flowpack lock chat` to write it"


def test_a_stale_locks_pins_are_preferred_unless_all_are_upgraded(read: Read, scripted: Scripted, beside: Path) -> None:
    said = Recording()
    beside.write_text(lock(read("flask")).text)
    lock(read("flask\nclick"), existing=beside, reporter=said)
    assert {pin.requirement for pin in scripted.asked[-1].preferred} >= {"flask==1", "gunicorn==1"}
    assert said[0] == "requirements.lock is stale: requirements: 'click' is new"
    lock(read("flask"), existing=beside, upgrade=True)
    assert scripted.asked[-1].preferred == ()
    assert scripted.asked[-1].upgrade


def test_a_broken_lock_stops_a_build_and_not_its_renewal(read: Read, scripted: Scripted, beside: Path) -> None:
    beside.write_text(lock(read("flask")).text.replace("flask==1", "flask==2"))
    with pytest.raises(LockError, match="changed by hand") as raised:
        lock(read("flask"), existing=beside, source="chat")
    assert "`flowpack lock chat`" in str(raised.value.hint)
    said = Recording()
    renewed = lock(read("flask"), existing=beside, renew=True, reporter=said)
    assert said[0] == "requirements.lock is stale: it was changed by hand"
    assert renewed.pins["flask"] == "1"
    assert "flask==2" in {pin.requirement for pin in scripted.asked[-1].preferred}


def test_a_lock_of_another_maker_is_stale_and_its_pins_are_kept(read: Read, scripted: Scripted, beside: Path) -> None:
    beside.write_text(f"flask==3 --hash={HASH}\n")
    lock(read("flask"), existing=beside)
    assert [pin.requirement for pin in scripted.asked[-1].preferred] == ["flask==3"]
    with pytest.raises(LockError, match="it was not made by flowpack"):
        lock(read("flask"), existing=beside, locked=True)


def test_a_lock_that_is_no_text_is_told(read: Read, beside: Path) -> None:
    beside.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LockError, match="not UTF-8"):
        lock(read("flask"), existing=beside)


def test_locked_and_upgrade_do_not_go_together(read: Read) -> None:
    with pytest.raises(UsageError):
        lock(read("flask"), locked=True, upgrade=True)


def test_hashes_of_the_user_are_the_only_ones_trusted(read: Read, scripted: Scripted) -> None:
    theirs, other = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
    scripted.pins["flask"] = Pin("flask", "3", (theirs, other))
    made = lock(read(f"flask==3 --hash={theirs}"))
    assert next(pin.hashes for pin in parse_lock(made.text).pins if pin.name == "flask") == (theirs,)
    with pytest.raises(RequirementsError, match="none of the hashes given for 'flask==3'") as raised:
        lock(read(f"click\nflask==3 --hash=sha256:{'c' * 64}"))
    assert raised.value.location is not None
    assert raised.value.location.line == 2


def test_a_url_is_pinned_as_it_is_written_and_without_its_password(
    read: Read, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEED_TOKEN", "hunter2")
    scripted.pins["x"] = Pin("x", None, (HASH,), url="https://me:hunter2@example.org/x-1-py3-none-any.whl")
    asked = read("x @ https://me:${FEED_TOKEN}@example.org/x-1-py3-none-any.whl")
    made = lock(asked, passed=[PassedVariable("FEED_TOKEN")])
    assert "x @ https://example.org/x-1-py3-none-any.whl \\" in made.text
    assert made.pins["x"] == "@ https://example.org/x-1-py3-none-any.whl"
    assert "hunter2" not in made.text


def test_the_lock_says_again_which_public_index_an_installation_needs(read: Read, scripted: Scripted) -> None:
    made = lock(read("--extra-index-url https://me:pw@example.org/cpu\n--pre\nflask"))
    assert "\n--extra-index-url https://example.org/cpu\n\n" in made.text
    assert "pw" not in made.text
