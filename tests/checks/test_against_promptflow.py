"""The oracle: what the rules call an error fails in promptflow 1.18.5 too, and what they pass runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.checks.dag_flows import DAG_FLOWS
from tests.checks.rule_projects import project
from tests.integration.pf_serve import installed

# Of these promptflow says so when it makes the flow's executor, or when that runs a line.
RULES = (
    *("flow-structure", "dangling-reference", "cycle", "missing-source", "broken-python", "tool-count"),
    *("tool-signature", "node-twice", "aggregation-read", "output-without-reference", "no-connection"),
    *("template-syntax", "template-reserved-name"),
)
CASES = [(rule, case) for rule in RULES for case in ("fails", "passes")]

_WORKER = """
import json, os, sys
from pathlib import Path
from promptflow.executor import FlowExecutor

connection = {"api_key": "k", "api_base": "https://contoso.openai.azure.com", "api_type": "azure"}
connections = {"open_ai_connection": {"type": "AzureOpenAIConnection", "value": connection}}

def fails(folder):
    os.chdir(folder)
    try:
        executor = FlowExecutor.create(Path("flow.dag.yaml"), connections, working_dir=Path(folder))
        if "llm" in Path("flow.dag.yaml").read_text():
            return False  # a model would have to answer
        return executor.exec_line({"text": "to be or not"}).run_info.error is not None
    except Exception:
        return True

print(json.dumps([fails(folder) for folder in sys.argv[1:]]))
"""


def failed(folders: list[str], home: Path) -> list[bool]:
    done = subprocess.run(
        [installed() / "python", "-c", _WORKER, *folders],
        env={"HOME": str(home), "PF_DISABLE_TRACING": "true", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    answers: list[bool] = json.loads(done.stdout.splitlines()[-1])
    return answers


@pytest.mark.network
def test_promptflow_fails_where_a_rule_finds_an_error_and_only_there(tmp_path: Path) -> None:
    folders = []
    for rule, case in CASES:
        (tmp_path / rule / case).mkdir(parents=True)
        folders.append(str(project(rule, case, tmp_path / rule / case)))
    found = dict(zip(CASES, failed(folders, tmp_path), strict=True))
    assert found == {(rule, case): case == "fails" for rule, case in CASES}


@pytest.mark.network
def test_promptflow_fails_with_the_dag_flows_that_have_an_error(tmp_path: Path) -> None:
    folders = [str(flow.write(tmp_path / str(number))) for number, (flow, _) in enumerate(DAG_FLOWS.values())]
    found = dict(zip(DAG_FLOWS, failed(folders, tmp_path), strict=True))
    assert found == {name: code != "" for name, (_, code) in DAG_FLOWS.items()}
