from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.dependencies.passed_variables import PassedVariable
from flowpack.dependencies.requirements import read_requirements
from flowpack.errors import RequirementsError
from tests.dependencies.conftest import Read
from tests.paths import write_tree


def test_a_flow_without_requirements_has_none(read: Read) -> None:
    assert read().lines == ()


def test_lines_have_one_form_and_their_place(read: Read, flow: Path) -> None:
    found = read(
        "# what we need\r\nFlask_Cors >=6,<7   # comment\r\n\r\n"
        "openai[Data-Lib, aa] \\\r\n  == 1.0 ; python_version<'3.12'\r\n"
    )
    assert [(line.text, line.name, line.location.line) for line in found.lines] == [
        ("flask-cors<7,>=6", "flask-cors", 2),
        ('openai[aa,data-lib]==1.0 ; python_version < "3.12"', "openai", 4),
    ]
    assert found.lines[0].location.path == flow / "requirements.txt"
    assert found.lines[0].source == "requirements.txt"


def test_nested_files_are_found_as_pip_would_find_them_in_the_image(tmp_path: Path) -> None:
    """The file that names another may come from an include, and so may the other."""
    write_tree(
        tmp_path,
        {"shared/reqs.txt": "-r more/base.txt\n-c pins.txt\nflask\n", "x/base": "httpx\n", "pins": "anyio<4\n"},
    )
    files = {
        "requirements.txt": tmp_path / "shared" / "reqs.txt",
        "more/base.txt": tmp_path / "x" / "base",
        "pins.txt": tmp_path / "pins",
    }
    found = read_requirements("./requirements.txt", files)
    assert [(line.text, line.source) for line in found.lines] == [
        ("httpx", "more/base.txt"),
        ("flask", "requirements.txt"),
    ]
    assert [(line.text, line.location.path) for line in found.constraints] == [("anyio<4", tmp_path / "pins")]


def test_a_nested_file_is_relative_to_the_file_that_names_it(read: Read) -> None:
    found = read("-r more/a.txt", more__a="-r b.txt\n-r ../c.txt\n", more__b="flask\n", c="httpx\n")
    assert [line.text for line in found.lines] == ["flask", "httpx"]


def test_hashes_are_kept_with_their_requirement(read: Read) -> None:
    one, two = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
    found = read(f"--require-hashes\nflask==3 \\\n  --hash={one} \\\n  --hash={two}\n")
    assert found.lines[0].hashes == (one, two)
    assert found.lines[0].text == "flask==3"


def test_a_wheels_url_names_its_package(read: Read) -> None:
    found = read(
        "https://example.org/w/Flask_Cors-6.0-py3-none-any.whl ; python_version > '3'\nb @ http://example.org/b.tar.gz"
    )
    assert [line.name for line in found.lines] == ["flask-cors", "b"]
    assert found.lines[0].public_url == "https://example.org/w/Flask_Cors-6.0-py3-none-any.whl"


@pytest.mark.parametrize(
    "text",
    [
        "git+https://example.org/x.git@main",
        "x @ git+ssh://git@example.org/x.git",
        "hg+https://example.org/x",
        "-e .",
        "--editable=git+https://example.org/x.git#egg=x",
        "./package",
        "../package[extra]",
        "/opt/package",
        "~/package",
        "wheels/x-1.0-py3-none-any.whl",
        "x-1.0.tar.gz",
        "package/sub",
        "file:///opt/x-1.0-py3-none-any.whl",
        "x @ file:///opt/x-1.0-py3-none-any.whl",
    ],
)
def test_what_no_hash_can_pin_is_refused_at_its_line(read: Read, text: str) -> None:
    with pytest.raises(RequirementsError, match="which no hash can pin") as raised:
        read(f"flask\n{text}\n")
    assert raised.value.location is not None
    assert raised.value.location.line == 2
    assert raised.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flask=3", "'flask=3' is not a valid requirement"),
        ("flask ==", "is not a valid requirement"),
        ("-r nowhere.txt", "'nowhere.txt' is not in the flow"),
        ("-r ../outside.txt", "'../outside.txt' is not in the flow"),
        ("-r https://example.org/r.txt", "is a URL, and a lock cannot cover its content"),
        ("-r requirements.txt", "includes itself"),
        ("--find-links wheels", "there is no folder 'wheels' in the flow"),
        ("flask --hash=md5:1", "is not a hash that pip supports"),
        ("flask --global-option=x", "is not supported"),
        ("--hash=sha256:1", "has no requirement before it"),
        ("https://example.org/download", "does not name a package"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(read: Read, flow: Path, text: str, message: str) -> None:
    with pytest.raises(RequirementsError) as raised:
        read(f"\n\n{text}\n")
    assert message in raised.value.message
    assert (raised.value.location.path, raised.value.location.line) == (flow / "requirements.txt", 3)  # type: ignore[union-attr]


def test_a_misspelt_nested_file_has_a_suggestion(read: Read) -> None:
    with pytest.raises(RequirementsError) as raised:
        read("-r requirments-base.txt", **{"requirements-base": "flask"})
    assert raised.value.hint == "did you mean 'requirements-base.txt'?"


def test_options_of_all_files_add_up_and_an_index_url_puts_away_what_came_before(read: Read) -> None:
    found = read(
        "--extra-index-url https://a.example/simple\n-r more.txt\n--trusted-host b.example\n",
        more="-i https://b.example/simple\n--extra-index-url https://c.example/simple\n--pre\n--no-binary x,y\n",
    )
    assert found.options.inputs() == (
        "--index-url https://b.example/simple",
        "--extra-index-url https://c.example/simple",
        "--trusted-host b.example",
        "--no-binary x,y",
        "--pre",
    )


def test_a_folder_of_wheels_in_the_flow_is_found_behind_its_include(tmp_path: Path) -> None:
    write_tree(tmp_path, {"r.txt": "--no-index\n--find-links ./wheels\nx\n", "elsewhere/x-1-py3-none-any.whl": ""})
    files = {"r.txt": tmp_path / "r.txt", "wheels/x-1-py3-none-any.whl": tmp_path / "elsewhere/x-1-py3-none-any.whl"}
    options = read_requirements("r.txt", files).options
    assert options.folders == (tmp_path / "elsewhere",)
    assert options.inputs() == ("--find-links wheels",)


def test_credentials_reach_a_resolver_and_nothing_else(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEED_TOKEN", "hunter2")
    written = read(
        "--extra-index-url https://me:${FEED_TOKEN}@example.org/simple\n"
        "-f https://me:hunter2@example.org/links\n"
        "x @ https://token-hunter2@example.org/x-1-py3-none-any.whl\n"
        "y @ https://${FEED_TOKEN}@example.org/y-1-py3-none-any.whl\n"
    )
    found = written.expanded([PassedVariable("FEED_TOKEN")])
    assert "hunter2" in found.lines[0].resolvable
    assert "hunter2@example.org" in found.lines[1].resolvable
    assert found.lines[1].text == "y @ https://example.org/y-1-py3-none-any.whl"
    assert "hunter2" not in repr(found)
    assert "hunter2" not in "".join([*found.options.inputs(), *found.options.lock_lines()])


def test_a_password_is_in_no_message(read: Read) -> None:
    with pytest.raises(RequirementsError) as raised:
        read("git+https://me:hunter2@example.org/x.git")
    assert "hunter2" not in str(raised.value)
