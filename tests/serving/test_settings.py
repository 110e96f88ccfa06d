from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.serving.problems import CannotStartError
from flowpack.serving.settings import flow_folder, read_settings
from tests.paths import write_tree

DAG = {"flow.dag.yaml": "nodes: []\n"}


def test_defaults(tmp_path: Path) -> None:
    settings, problems = read_settings({"PROMPTFLOW_PROJECT_PATH": str(write_tree(tmp_path, DAG))}, cores=3)
    assert not problems
    assert (settings.engine, settings.port, settings.workers, settings.threads) == ("flask", 8080, 3, 1)
    assert settings.timeout > 300
    assert settings.preload
    assert settings.connections == Path("/connections")


def test_promptflows_own_variables(tmp_path: Path) -> None:
    settings, _ = read_settings(
        {
            "PROMPTFLOW_PROJECT_PATH": str(write_tree(tmp_path, DAG)),
            "PROMPTFLOW_SERVING_ENGINE": "FastAPI",
            "PROMPTFLOW_WORKER_NUM": "5",
            "PROMPTFLOW_WORKER_THREADS": "4",
            "FLOWPACK_PORT": "9000",
        },
        cores=3,
    )
    assert (settings.engine, settings.port, settings.workers, settings.threads) == ("fastapi", 9000, 5, 4)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    wrong = {
        "PROMPTFLOW_PROJECT_PATH": "/no/such/folder",
        "PROMPTFLOW_SERVING_ENGINE": "tornado",
        "PROMPTFLOW_WORKER_NUM": "many",
        "PROMPTFLOW_WORKER_THREADS": "0",
        "FLOWPACK_PORT": "70000",
    }
    _, problems = read_settings(wrong, cores=1)
    assert {problem.name for problem in problems} == set(wrong)
    assert str(CannotStartError(problems)).startswith("cannot start: 5 are wrong")


def test_the_model_that_azure_ml_mounts_is_served_and_not_the_flow_in_the_image(tmp_path: Path) -> None:
    image = write_tree(tmp_path / "flow", DAG)
    mounted = write_tree(
        tmp_path / "azureml-models", {".amlignore": "", "chat/1/readme": "", "my-flow/flow.dag.yaml": ""}
    )
    assert flow_folder({"AZUREML_MODEL_DIR": str(mounted)}, image) == mounted / "my-flow"
    assert flow_folder({"AZUREML_MODEL_DIR": str(mounted / "my-flow")}, image) == mounted / "my-flow"


def test_a_folder_named_outright_wins_over_a_mounted_model(tmp_path: Path) -> None:
    named = write_tree(tmp_path / "named", DAG)
    mounted = write_tree(tmp_path / "models", {"flow/flow.dag.yaml": ""})
    assert flow_folder({"AZUREML_MODEL_DIR": str(mounted), "PROMPTFLOW_PROJECT_PATH": str(named)}) == named


@pytest.mark.parametrize("mounted", ["no-such-folder", "empty"])
def test_without_a_model_the_flow_in_the_image_is_served(tmp_path: Path, mounted: str) -> None:
    image = write_tree(tmp_path / "flow", DAG)
    (tmp_path / "empty").mkdir()
    assert flow_folder({"AZUREML_MODEL_DIR": str(tmp_path / mounted)}, image) == image


def test_a_model_that_is_no_flow_is_refused(tmp_path: Path) -> None:
    mounted = write_tree(tmp_path / "models", {"weights/model.bin": ""})
    with pytest.raises(CannotStartError, match="AZUREML_MODEL_DIR"):
        flow_folder({"AZUREML_MODEL_DIR": str(mounted)}, write_tree(tmp_path / "flow", DAG))


def test_other_kinds_of_flow_are_known(tmp_path: Path) -> None:
    for name in ("flow.flex.yaml", "chat.prompty", "MLmodel"):
        folder = write_tree(tmp_path / name, {name: ""})
        assert flow_folder({}, folder) == folder


def test_limits_and_deadlines(tmp_path: Path) -> None:
    given = {"PROMPTFLOW_PROJECT_PATH": str(write_tree(tmp_path, DAG))}
    settings, _ = read_settings(given, cores=1)
    assert (settings.header_timeout, settings.body_timeout, settings.max_body_mb) == (20, 120, 100)
    assert settings.image_timeout == 20
    given |= {"FLOWPACK_HEADER_TIMEOUT": "5", "FLOWPACK_BODY_TIMEOUT": "60", "FLOWPACK_MAX_BODY_MB": "1"}
    given |= {"FLOWPACK_IMAGE_TIMEOUT": "3"}
    settings, problems = read_settings(given, cores=1)
    assert not problems
    assert (settings.header_timeout, settings.body_timeout, settings.max_body_mb) == (5, 60, 1)
    assert settings.image_timeout == 3


def test_a_limit_that_is_none_is_refused() -> None:
    wrong = {
        "FLOWPACK_HEADER_TIMEOUT": "0",
        "FLOWPACK_BODY_TIMEOUT": "-1",
        "FLOWPACK_MAX_BODY_MB": "unlimited",
        "FLOWPACK_PRELOAD": "maybe",
    }
    _, problems = read_settings({**wrong, "PROMPTFLOW_PROJECT_PATH": "/no/such/folder"}, cores=1)
    assert {problem.name for problem in problems} == {*wrong, "PROMPTFLOW_PROJECT_PATH"}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("FLOWPACK_MAX_BODY", "FLOWPACK_MAX_BODY_MB"),
        ("FLOWPACK_HEADERS_TIMEOUT", "FLOWPACK_HEADER_TIMEOUT"),
        ("FLOWPACK_CONNECTION", "FLOWPACK_CONNECTIONS"),
    ],
)
def test_a_setting_that_is_misspelled_is_refused_with_the_one_that_was_meant(
    tmp_path: Path, name: str, meant: str
) -> None:
    given = {"PROMPTFLOW_PROJECT_PATH": str(write_tree(tmp_path, DAG)), name: "1"}
    _, [problem] = read_settings(given, cores=1)
    assert problem.name == name
    assert problem.reason.endswith(f"did you mean {meant}?")


def test_the_variables_of_flowpacks_own_commands_are_not_taken_for_misspelled_ones(tmp_path: Path) -> None:
    given = dict.fromkeys(
        ("FLOWPACK_CACHE_DIR", "FLOWPACK_BASE_IMAGE", "FLOWPACK_ON_CONFLICT", "FLOWPACK_VERSION", "FLOWPACK_PYTHON"),
        "1",
    )
    _, problems = read_settings({**given, "PROMPTFLOW_PROJECT_PATH": str(write_tree(tmp_path, DAG))}, cores=1)
    assert not problems
