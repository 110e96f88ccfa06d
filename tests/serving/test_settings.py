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
