from __future__ import annotations

import random
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowpack.dependencies.lock_format import LockInputs, Pin, parse_lock, render_lock
from flowpack.dependencies.target import Target
from flowpack.errors import LockError

TARGET = Target.parse("3.11", "linux/amd64")
ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"

names = st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,5}){0,2}", fullmatch=True)
versions = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}(b[0-9]|\.post[0-9]|\+cpu)?", fullmatch=True)
hashes = st.lists(
    st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:{}".format), min_size=1, unique=True
)
urls = names.map("https://example.org/{}-1.0-py3-none-any.whl".format)
vias = st.lists(names | st.just("-r more/requirements.txt") | st.just("flowpack, for serving"), max_size=3, unique=True)
lines = st.lists(st.text(string.ascii_letters + "=<>;'\" .-[]", min_size=1).map(str.strip).filter(bool), max_size=3)


@st.composite
def pins(draw: st.DrawFn) -> Pin:
    version, url = draw(st.tuples(versions, st.none()) | st.tuples(st.none(), urls))
    return Pin(draw(names), version, tuple(sorted(draw(hashes))), tuple(sorted(draw(vias))), url)


@st.composite
def lock_inputs(draw: st.DrawFn) -> LockInputs:
    return LockInputs(
        target=TARGET,
        requirements=tuple(draw(lines)),
        constraints=tuple(draw(lines)),
        serving=tuple(draw(lines)),
        options=("--extra-index-url https://example.org/simple",) * draw(st.booleans()),
        known_good=tuple(draw(lines)),
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # patterns take long to prepare, once
@given(lock_inputs(), st.lists(pins(), max_size=5, unique_by=lambda pin: pin.name), st.randoms())
def test_what_is_written_is_read_back(inputs: LockInputs, written: list[Pin], chance: random.Random) -> None:
    text = render_lock(inputs, written)
    read = parse_lock(text)
    assert read.pins == tuple(sorted(written, key=lambda pin: pin.name))
    assert (read.inputs_digest, read.target, read.format) == (inputs.digest, str(TARGET), "1")
    assert read.sections == {key: value for key, value in inputs.sections().items() if value}
    chance.shuffle(written)
    assert render_lock(inputs, written) == text


def lock(*written: Pin) -> str:
    inputs = LockInputs(
        target=TARGET,
        requirements=("a",),
        constraints=(),
        serving=(),
        options=("--no-binary a", "--trusted-host a"),
        known_good=(),
    )
    return render_lock(inputs, written or (Pin("a", "1", (ONE, TWO), ("-r requirements.txt",)), Pin("b", "2", (TWO,))))


def test_the_text_is_one_that_pip_reads() -> None:
    """Without what could undo that wheels alone are taken."""
    assert lock().endswith(
        "\n"
        "--trusted-host a\n"
        "\n"
        "a==1 \\\n"
        f"    --hash={ONE} \\\n"
        f"    --hash={TWO}\n"
        "    # via -r requirements.txt\n"
        "b==2 \\\n"
        f"    --hash={TWO}\n"
    )


def test_another_line_ending_is_no_change() -> None:
    assert parse_lock(lock().replace("\n", "\r\n")).pins == parse_lock(lock()).pins


@pytest.mark.parametrize(
    ("old", "new", "message", "at"),
    [
        (f" \\\n    --hash={TWO}\n", "\n", "'b' has no hash", "b==2"),
        ("b==2", "b>=2", "'b>=2' is not pinned to a version", "b>=2"),
        ("a==1", "a==1.1", "the lock was changed by hand", "# content: "),
        (ONE, f"sha256:{'3' * 64}", "the lock was changed by hand", "# content: "),
        ("3.11 on", "3.12 on", "the lock was changed by hand", "# content: "),
        ("--trusted-host a\n", "", "the lock was changed by hand", "# content: "),
        ("b==2", "<<<<<<< ours\nb==2", "the lock has an unresolved merge conflict", "<<<<<<<"),
    ],
)
def test_a_change_by_hand_is_found(old: str, new: str, message: str, at: str) -> None:
    text = lock()
    assert text.count(old) >= 1
    head, _, tail = text.rpartition(old)
    text = head + new + tail
    with pytest.raises(LockError) as raised:
        parse_lock(text)
    assert message in raised.value.message
    line = next(number for number, each in enumerate(text.splitlines(), start=1) if each.startswith(at))
    assert raised.value.location is not None
    assert raised.value.location.line == line


def test_a_lock_without_its_checksum_is_a_changed_one() -> None:
    text = "".join(line for line in lock().splitlines(keepends=True) if not line.startswith("# content"))
    with pytest.raises(LockError, match="changed by hand"):
        parse_lock(text)


def test_a_lock_of_another_maker_has_pins_and_no_inputs() -> None:
    text = (
        "# by pip-compile\n--index-url https://example.org\n"
        f"A_b[x]==1 ; python_version > '3' --hash={ONE}\n    # via\n    #   c\n    #   -r r.in\n"
    )
    read = parse_lock(text)
    assert read.inputs_digest is None
    assert read.pins == (Pin("a-b", "1", (ONE,), ("c", "-r r.in")),)
