"""Many flows at once, and findings that are recalled while nothing that they follow from has changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flowpack.checks.fixing import fix
from flowpack.checks.run import Checked, check
from tests.checks.rule_projects import CHECKS, project
from tests.paths import write_tree


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "cache" / "checks").mkdir(parents=True)  # it lies in the projects of some tests, which list it
    return tmp_path / "cache"


def again(folder: Path) -> Checked:
    return check([str(folder)])


def test_processes_find_what_one_finds(tmp_path: Path) -> None:
    for number in range(40):
        for case in ("fails", "passes"):
            shutil.copytree(CHECKS / "dangling-reference" / case, tmp_path / "flows" / f"{case}-{number}")
    alone = check([str(tmp_path / "flows")], use_cache=False, processes=1)
    together = check([str(tmp_path / "flows")], use_cache=False, processes=2)
    assert together == alone
    assert (together.flows, len(together.findings)) == (80, 80)


def test_what_has_not_changed_is_recalled(tmp_path: Path) -> None:
    folder = project("variable-not-text", "fails", tmp_path)
    first, second = again(folder), again(folder)
    assert (first.recalled, second.recalled) == (0, 1)
    assert second.findings == first.findings


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        ("dangling-reference", "flow.dag.yaml", None),
        ("variable-not-text", "deployment.yaml", None),
        ("tool-count", "count.py", None),
        ("should-not-ship", ".flowpackignore", "*.ipynb\n"),
        ("broken-lock", "requirements.lock", None),
    ],
)
def test_a_changed_file_is_looked_at_anew(rule: str, path: str, text: str | None, tmp_path: Path) -> None:
    folder = project(rule, "fails", tmp_path)
    assert again(folder).findings
    (folder / path).write_text(text or (CHECKS / rule / "passes" / path).read_text())
    assert rule not in {finding.rule.name for finding in again(folder).findings}


def test_an_included_file_and_a_module_beside_the_flow_count(tmp_path: Path) -> None:
    folder = project("missing-import", "passes", tmp_path)
    assert again(folder).findings == ()
    assert again(folder).recalled == 1
    (folder / "shared" / "key.pem").write_text("-----BEGIN PRIVATE KEY-----")
    assert [finding.rule.code for finding in again(folder).findings] == ["FP209"]

    flow = write_tree(tmp_path / "other", {".git/HEAD": ""}) / "flow"
    shutil.copytree(CHECKS / "tool-count" / "passes", flow)
    (flow / "count.py").write_text("import words\n" + (flow / "count.py").read_text())
    assert again(flow).findings == ()
    (flow.parent / "words.py").touch()
    assert [finding.rule.code for finding in again(flow).findings] == ["FP206"]


def test_a_build_context_beside_the_flow_counts(tmp_path: Path) -> None:
    flow = write_tree(tmp_path, {".git/HEAD": "", "image/Dockerfile": ""}) / "flow"
    shutil.copytree(CHECKS / "build-context" / "passes", flow)
    text = (flow / "deployment.yaml").read_text()
    (flow / "deployment.yaml").write_text(text.replace("path: image", "path: ../image"))
    assert again(flow).findings == ()
    assert again(flow).recalled == 1
    (tmp_path / "image" / "data.bin").write_bytes(bytes(1024**2 + 1))
    assert [finding.rule.code for finding in again(flow).findings] == ["FP530"]


def test_a_linked_folder_counts(tmp_path: Path) -> None:
    folder = project("tool-count", "passes", tmp_path)
    (folder / "elsewhere").mkdir()
    (folder / "linked").symlink_to("elsewhere")
    assert again(folder / "flow.dag.yaml").findings == ()
    (folder / "elsewhere" / "key.pem").write_text("-----BEGIN PRIVATE KEY-----")
    assert {finding.rule.code for finding in again(folder / "flow.dag.yaml").findings} == {"FP209"}


def test_an_include_that_was_missing_counts_as_soon_as_it_is_there(tmp_path: Path) -> None:
    folder = project("broken-include", "fails", tmp_path)
    assert [finding.rule.code for finding in again(folder).findings] == ["FP201"]
    (folder / "shared").rename(folder / "shraed")
    assert again(folder).findings == ()


def test_a_fix_mends_and_changes_nothing_else(tmp_path: Path) -> None:
    folder = project("variable-not-text", "fails", tmp_path)
    before = (folder / "deployment.yaml").read_text()
    assert fix(check([str(folder)]).findings) == 1
    assert (folder / "deployment.yaml").read_text() == before.replace("NUM: 4   #", 'NUM: "4"   #')
    assert again(folder).findings == ()


def test_line_ends_stay_as_they_are(tmp_path: Path) -> None:
    folder = project("include-twice", "fails", tmp_path)
    path = folder / "flow" / "flow.dag.yaml"
    text = path.read_bytes().replace(b"\n", b"\r\n")
    path.write_bytes(text)
    assert fix(check([str(folder)]).findings) == 1
    assert path.read_bytes() == text.replace(b"- ../shared\r\n- ../shared\r\n", b"- ../shared\r\n")
