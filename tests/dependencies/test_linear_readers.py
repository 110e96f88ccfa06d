"""Requirements, locks, conda files and pip's configuration of any shape: quickly read, or refused at a place."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowpack.dependencies.conda_file import with_conda_file
from flowpack.dependencies.index_configuration import pip_settings
from flowpack.dependencies.lock_format import parse_lock, read_pins
from flowpack.dependencies.lock_review import unexplained
from flowpack.dependencies.lockfile import lock_dependencies
from flowpack.dependencies.requirements import Requirements, read_requirements
from flowpack.dependencies.serving_needs import ServingNeeds
from flowpack.dependencies.target import Target
from flowpack.errors import FlowpackError, Location, LockError, RequirementsError
from tests.dependencies.conftest import Read
from tests.dependencies.test_lock_review import with_checksum

TARGET = Target.parse("3.11", "linux/amd64")
SIZE = 256 * 1024
BOUND = 5.0
"""Seconds; the slowest shape takes a tenth of it on one core, and took minutes before it was bounded."""

HASH = "--hash=sha256:" + "0" * 64
HEADER = "# format: 1\n# target: Python 3.11 on linux/amd64\n# inputs: sha256:0\n# content: x\n"

SHAPES: dict[str, Callable[[int], str]] = {
    "a run of spaces": lambda n: "x" + " " * n + "y",
    "a run of spaces and a comment": lambda n: "x" + " " * n + "#",
    "a run of tabs before an option": lambda n: "x" + "\t" * n + "--pre",
    "spaces and number signs": lambda n: "x" + " #" * (n // 2),
    "one line, many specifiers": lambda n: "x" + ",".join(f">{i}" for i in range(n // 7)),
    "one line, many equal specifiers": lambda n: "x==1" + ",==1" * (n // 4),
    "one line, many extras": lambda n: "x[" + ",".join(["e"] * (n // 2)) + "]",
    "one line, many options": lambda n: "x " + f"{HASH} " * (n // len(HASH)),
    "one quoted option": lambda n: "--index-url 'https://" + "a" * n + "'",
    "many quoted options": lambda n: "--pre ''\n" * (n // 9),
    "one long name": lambda n: "x" * n,
    "one long name with dots": lambda n: "x." * (n // 2),
    "one long version": lambda n: "x==" + "1." * (n // 2) + "1",
    "one number of many digits": lambda n: "x==" + "1" * n,
    "a number of 5,000 digits": lambda _: "x==" + "1" * 5000,
    "a number of 5,000 digits, and slim": lambda _: "promptflow==1." + "1" * 5000,
    "one long URL": lambda n: "x @ https://h/" + "a" * n,
    "one URL of many at signs": lambda n: "https://" + "a@" * (n // 2) + "h/x-1-py3-none-any.whl",
    "one URL of many colons": lambda n: "x @ https://" + "a:" * (n // 2),
    "deep markers": lambda n: "x ; " + "(" * (n // 2) + "os_name=='a'" + ")" * (n // 2),
    "markers 900 deep": lambda _: "x ; " + "(" * 900 + "os_name=='a'" + ")" * 900,
    "a marker of many ands": lambda n: "x ; os_name=='a'" + " and os_name=='a'" * (n // 17),
    "continued lines": lambda n: "x \\\n" * (n // 4),
    "continued lines that are empty": lambda n: "\\\n" * (n // 2),
    "many requirements": lambda n: "".join(f"x{i}==1\n" for i in range(n // 9)),
    "the same requirement": lambda n: "polars\n" * (n // 7),
    "many options of indexes": lambda n: "--extra-index-url https://h\n" * (n // 28),
    "many folders of archives": lambda n: "--find-links .\n" * (n // 15),
    "many trusted hosts": lambda n: "--trusted-host h\n" * (n // 17),
    "many files": lambda n: "-r requirements.txt\n" * (n // 20),
    "many flags": lambda n: "--pre\n" * (n // 6),
    "many variables": lambda n: "--index-url https://${A}@h\n" * (n // 27),
    "one line of variables": lambda n: "--index-url https://" + "${A}" * (n // 4),
    "comments": lambda n: "# c\n" * (n // 4),
    "line ends of every kind": lambda n: "\x0b\x0c\x1c\x85\u2028" * (n // 8),
    "zero bytes": lambda n: "\x00" * n,
    "an encoding of punycode": lambda n: "# coding: punycode\n" + "a-" * (n // 2),
    "an encoding of escapes": lambda n: "# coding: unicode_escape\n" + "\\ud800" * (n // 6),
    "a declaration of spaces": lambda n: "#" + "coding:" * (n // 16) + " " * (n // 2),
    "pins without hashes": lambda n: "x==1\n" * (n // 5),
    "one pin, many hashes": lambda n: "x==1 \\\n" + f"    {HASH} \\\n" * (n // (len(HASH) + 6)),
    "one pin, many lines": lambda n: f"x==1 {HASH} \\\n" + "y \\\n" * (n // 4),
    "one pin, many comments": lambda n: f"x==1 {HASH}\n" + "    # via y\n" * (n // 12),
    "a chain of pins": lambda n: "".join(f"x{i}==1 {HASH}\n    # via x{i + 1}\n" for i in range(n // 110)),
    "one line of brackets": lambda n: "x[" * (n // 2),
    "one line of semicolons": lambda n: f"x==1 {HASH} " + "; " * (n // 2),
}
shapes = pytest.mark.parametrize("shape", list(SHAPES))
some_shapes = pytest.mark.parametrize(
    "shape",
    [
        *("a run of spaces", "one line, many specifiers", "one long version", "deep markers", "many requirements"),
        *("pins without hashes", "continued lines that are empty", "a number of 5,000 digits"),
    ],
)


@contextlib.contextmanager
def quickly_or_refused() -> Iterator[None]:
    began = time.process_time()
    try:
        yield
    except FlowpackError as error:
        assert len(str(error)) < 4000, "a message is no place for a whole file"
    assert time.process_time() - began < BOUND


def conda(text: str) -> str:
    quoted = ", ".join("'" + line.replace("'", "''") + "'" for line in text.split("\n") if line.isprintable() and line)
    return f"dependencies: [python=3.11, {{pip: [{quoted}]}}]\n"


def check_requirements(text: str | bytes, folder: Path) -> Requirements:
    path = folder / "requirements.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_requirements("requirements.txt", {"requirements.txt": path})


@pytest.mark.attack("super-linear: requirements")
@shapes
def test_requirements(shape: str, tmp_path: Path) -> None:
    with quickly_or_refused():
        requirements = check_requirements(SHAPES[shape](SIZE), tmp_path)
        with contextlib.suppress(LockError):
            lock_dependencies(requirements, needs=ServingNeeds(), target=TARGET, locked=True)


@pytest.mark.attack("super-linear: a lock")
@shapes
@pytest.mark.parametrize("body", [True, False], ids=["pins", "header"])
def test_a_lock(shape: str, body: bool, tmp_path: Path) -> None:
    text = SHAPES[shape](SIZE)
    if not body:
        text = "# options:\n" + "".join(f"#   {line}\n" for line in text.split("\n"))
    text = with_checksum(HEADER + text)
    with quickly_or_refused():
        list(read_pins(text.splitlines(), tmp_path / "requirements.lock", lenient=True))
        parse_lock(text)
        list(unexplained(text))
    lock = tmp_path / "requirements.lock"
    lock.write_text(text, newline="")
    requirements = check_requirements("flask\n", tmp_path)
    with quickly_or_refused():
        lock_dependencies(requirements, needs=ServingNeeds(), target=TARGET, existing=lock, locked=True)


@pytest.mark.attack("super-linear: a conda file")
@some_shapes
def test_a_conda_file(shape: str, tmp_path: Path) -> None:
    path = tmp_path / "conda.yaml"
    for text in (conda(SHAPES[shape](SIZE)), conda(SHAPES[shape](SIZE)).replace("{pip: [", "").replace("]}", "")):
        path.write_text(text)
        with quickly_or_refused():
            with_conda_file(Requirements(), "conda.yaml", {"conda.yaml": path}, TARGET)


@pytest.mark.attack("super-linear: pip's configuration")
@some_shapes
def test_pips_configuration(shape: str, tmp_path: Path) -> None:
    path = tmp_path / "pip.conf"
    for text in (SHAPES[shape](SIZE), "[global]\nindex-url = a\n" + SHAPES[shape](SIZE)):
        path.write_text(text, newline="")
        with quickly_or_refused():
            pip_settings({"PIP_CONFIG_FILE": str(path), "HOME": str(tmp_path)})


@pytest.mark.attack("H7")
def test_files_in_diamonds_are_read_once_each(read: Read) -> None:
    levels = 60
    files = {f"a{n}": f"-r b{n + 1}.txt\n-r c{n + 1}.txt\nx{n}\n" for n in range(1)}
    for n in range(1, 10):
        files |= {f"{side}{n}": f"-r b{n + 1}.txt\n-r c{n + 1}.txt\ny{side}{n}\n" for side in "bc"}
    files |= {"b10": "z\n" * levels, "c10": "z\n"}
    with quickly_or_refused():
        found = read("-r a0.txt\n", **files)
    assert len({line.text for line in found.lines}) == 1 + 18 + 1
    assert len([line for line in found.lines if line.source == "b10.txt"]) == levels


@pytest.mark.attack("H7")
def test_diamonds_of_24_levels_are_read_at_once_or_refused_at_a_line(read: Read) -> None:
    files = {f"{side}{n}": f"-r b{n + 1}.txt\n-r c{n + 1}.txt\n" for n in range(24) for side in "bc"}
    began = time.process_time()
    with pytest.raises(RequirementsError, match="is nested deeper than 20 files") as raised:
        read("-r b0.txt\n", **files, b24="flask\n", c24="flask\n")
    assert time.process_time() - began < BOUND
    assert raised.value.location is not None
    assert raised.value.location.line == 1


@pytest.mark.attack("low: deep -r chains")
@pytest.mark.parametrize("option", ["-r", "-c"])
def test_a_chain_of_2000_files_is_refused_at_a_line(read: Read, option: str) -> None:
    files = {f"r{n}": f"{option} r{n + 1}.txt\n" for n in range(2000)}
    with pytest.raises(RequirementsError, match="is nested deeper than 20 files"):
        read("-r r0.txt\n", **files, r2000="flask\n")


@pytest.mark.attack("low: numbers of 5,000 digits")
@pytest.mark.parametrize(
    "text", ["x=={}", "x==1.dev{}", "x=={}!1", "x ; python_version<'{}'", "https://h/x-{}-py3-none-any.whl"]
)
def test_a_number_of_too_many_digits_is_refused_at_its_line(read: Read, text: str) -> None:
    for digits in (41, 5000):
        with pytest.raises(RequirementsError, match="more than") as raised:
            read("flask\n" + text.format("1" * digits))
        assert raised.value.location == Location(raised.value.location.path, 2)  # type: ignore[union-attr]


@pytest.mark.attack("low: deep JSON or markers")
@pytest.mark.parametrize("depth", [21, 500, 1000])
def test_markers_nested_too_deep_are_refused_at_their_line(read: Read, depth: int) -> None:
    with pytest.raises(RequirementsError, match="nested deeper than 20") as raised:
        read("flask\nx ; " + "(" * depth + "os_name=='a'" + ")" * depth)
    assert str(raised.value.location).endswith("requirements.txt:2")


@pytest.mark.attack("held: links out, .. and other places are refused")
@pytest.mark.parametrize(
    "line",
    [
        "-r /etc/passwd",
        "-c /etc/passwd",
        "-r ../../../../etc/passwd",
        "-r file:///etc/passwd",
        "-r ~/.netrc",
        "-r requirements.txt/../../x.txt",
        "-e git+https://example.org/x",
        "-e .",
        "x @ file:///etc/passwd",
        "file:///etc/x-1-py3-none-any.whl",
        "/etc/x-1-py3-none-any.whl",
        "../x-1-py3-none-any.whl",
        "git+ssh://example.org/x",
        "--index-url file:///etc",
        "--find-links file:///etc",
        "--find-links /etc",
        "--find-links ../..",
    ],
)
def test_requirements_name_nothing_outside_the_flow(read: Read, line: str) -> None:
    with pytest.raises(RequirementsError) as raised:
        read(f"flask\n{line}\n")
    assert str(raised.value.location).endswith("requirements.txt:2")
    assert "root:" not in str(raised.value)


def test_what_a_person_writes_is_within_the_limits(read: Read) -> None:
    hashes = " \\\n".join(["    --hash=sha256:" + "0" * 64] * 500)
    found = read(f"torch==2.9.1 \\\n{hashes}\nx>1,!=2,!=3,!=4 ; (os_name=='a' or (os_name=='b' and os_name=='c'))\n")
    assert [line.name for line in found.lines] == ["torch", "x"]
    assert read("".join(f"p{n}==1.{n}\n" for n in range(5000))).names


def test_a_lock_that_differs_in_everything_is_told_in_a_few_words(tmp_path: Path) -> None:
    requirements = check_requirements("".join(f"p{n}\n" for n in range(1000)), tmp_path)
    lock = tmp_path / "requirements.lock"
    lock.write_text(with_checksum(HEADER))
    with pytest.raises(LockError, match="995 more changes") as raised:
        lock_dependencies(requirements, needs=ServingNeeds(), target=TARGET, existing=lock, locked=True)
    assert len(raised.value.message) < 1000


PIECES = [
    *(
        "flask",
        "==1",
        ">=",
        ",",
        "[",
        "]",
        ";",
        " ",
        "\t",
        "\n",
        "\\\n",
        "#",
        "(",
        ")",
        "'",
        '"',
        "\\",
        "@",
        "https://",
    ),
    *(
        "${A}",
        "-r ",
        "-c ",
        "--hash=",
        HASH,
        "--pre",
        "--index-url ",
        "--find-links ",
        "-e ",
        "a.b",
        "/",
        "..",
        "~",
        "\x00",
    ),
    *(
        "\u2028",
        "é",
        "\ud7ff",
        "git+",
        "file:",
        "requirements.txt",
        "os_name",
        " and ",
        "1" * 50,
        "# via ",
        "# inputs: ",
        "#   ",
    ),
]


@pytest.mark.attack("low: a traceback where an error belongs")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join) | st.text())
def test_no_text_gives_a_traceback(text: str) -> None:
    import tempfile  # noqa: PLC0415  (hypothesis asks for a folder an example)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for encoded in (
            text.encode("utf-8", "surrogatepass"),
            b"# coding: latin-1\n" + text.encode("utf-8", "replace"),
        ):
            with contextlib.suppress(FlowpackError):
                requirements = check_requirements(encoded, folder)
                lock_dependencies(requirements, needs=ServingNeeds(), target=TARGET, locked=True)
        lock = folder / "requirements.lock"
        lock.write_bytes((HEADER + text).encode("utf-8", "surrogatepass"))
        for locked in (True, False):
            with contextlib.suppress(FlowpackError):
                lock_dependencies(
                    Requirements(), needs=ServingNeeds(), target=TARGET, existing=lock, locked=True, renew=False
                )
            with contextlib.suppress(FlowpackError):
                list(unexplained(with_checksum(HEADER + text) if locked else HEADER + text))
        list(read_pins((HEADER + text).splitlines(), lock, lenient=True))
