from __future__ import annotations

import http.server
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowpack.errors import InputError, ServingError
from flowpack.flows.model import Flow
from flowpack.flows.reader import read_flow
from flowpack.running.scoring import sample_input, score
from tests.paths import FLOWS, write_tree

INPUTS = """\
inputs:
  question: {type: string}
  chat_history: {type: list, default: []}
  limit: {type: int, default: }
nodes: []
"""


def dag(folder: Path, text: str = INPUTS, **files: str) -> Flow:
    named = {name.replace("_", "."): content for name, content in files.items()}
    return read_flow(write_tree(folder, {"flow.dag.yaml": text, **named}) / "flow.dag.yaml")


@pytest.mark.parametrize("samples", ['{"question": "q"}', '[{"question": "q"}, {"question": "other"}]'])
def test_the_first_sample_over_the_defaults(tmp_path: Path, samples: str) -> None:
    flow = dag(tmp_path, samples_json=samples)
    assert sample_input(flow) == {"question": "q", "chat_history": [], "limit": None}


def test_what_is_given_wins(tmp_path: Path) -> None:
    flow = dag(tmp_path, samples_json='{"question": "q", "limit": 3}')
    assert sample_input(flow, {"question": "mine"}) == {"question": "mine", "chat_history": [], "limit": 3}


def test_a_chat_begins_without_a_history(tmp_path: Path) -> None:
    marked = "{type: string, default: q, is_chat_input: true}"
    answer = "outputs: {answer: {type: string, reference: x, is_chat_output: true}}\n"
    flow = dag(tmp_path, f"inputs: {{question: {marked}, chat_history: {{type: list}}}}\n{answer}nodes: []\n")
    assert sample_input(flow) == {"question": "q", "chat_history": []}


@pytest.mark.parametrize("samples", [None, "[]"])
def test_without_a_sample_the_defaults_do(tmp_path: Path, samples: str | None) -> None:
    flow = dag(tmp_path, "inputs: {limit: {type: int, default: }}\nnodes: []\n")
    if samples:
        write_tree(tmp_path, {"samples.json": samples})
    assert sample_input(flow) == {"limit": None}


def test_an_input_that_the_flow_does_not_have_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the flow has no input 'questoin'") as caught:
        sample_input(dag(tmp_path), {"questoin": "q"})
    assert caught.value.hint == "did you mean 'question'?"
    with pytest.raises(InputError, match="the flow has no input 'truth'") as caught:
        sample_input(dag(tmp_path, samples_json='{"question": "q", "truth": "t"}'))
    assert caught.value.location
    assert caught.value.location.path.name == "samples.json"


def test_inputs_that_have_neither_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        sample_input(dag(tmp_path, INPUTS.replace("nodes", "  url: {type: string}\nnodes")))
    assert "inputs 'question', 'url'" in caught.value.message
    assert "--input question=VALUE" in (caught.value.hint or "")
    assert "--inputs FILE" in (caught.value.hint or "")


def test_the_sample_of_a_flow_file_and_no_defaults(tmp_path: Path) -> None:
    """The code has its own defaults, and what the file's sample leaves out is theirs."""
    assert sample_input(read_flow(FLOWS / "flex-function")) == {"days_late": 4, "items": ["book", "map"]}
    assert sample_input(read_flow(FLOWS / "prompty-chat")) == {"question": "May I renew a book twice?"}
    folder = Path(shutil.copytree(FLOWS / "prompty-chat", tmp_path / "flow"))
    write_tree(folder, {"samples.json": '[{"question": "q"}]'})
    assert sample_input(read_flow(folder), {"language": "Frisian"}) == {"question": "q", "language": "Frisian"}


def test_a_broken_sample_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        sample_input(dag(tmp_path, samples_json='{\n  "question": "q",\n}'))
    assert caught.value.location is not None
    assert (caught.value.location.path.name, caught.value.location.line) == ("samples.json", 3)
    with pytest.raises(InputError, match="expected an object"):
        sample_input(dag(tmp_path, samples_json='"just text"'))


Answering = Callable[[int, str], str]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """Gives the URL of a server that answers every request with a status and a body."""
    answer: tuple[int, str] = (200, "")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received = self.rfile.read(int(self.headers["content-length"]))
            if answer[0] == 0:
                return
            self.send_response(answer[0])
            self.end_headers()
            self.wfile.write((answer[1] or received.decode()).encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

        def set_answer(status: int, body: str) -> str:
            nonlocal answer
            answer = (status, body)
            return f"http://127.0.0.1:{server.server_address[1]}"

        yield set_answer
        server.shutdown()


def test_a_scored_answer(answering: Answering) -> None:
    scored = score(answering(200, ""), {"question": "é"})
    assert (scored.status, scored.answer) == (200, {"question": "é"})
    assert scored.seconds > 0


def test_an_answer_that_is_no_json_is_given_as_text(answering: Answering) -> None:
    assert score(answering(200, "plain"), {}).answer == "plain"


def test_a_flow_that_fails_is_told_in_its_own_words(answering: Answering) -> None:
    body = json.dumps({"error": {"code": "UserError", "message": "OpenAI API hits AuthenticationError"}})
    with pytest.raises(ServingError) as caught:
        score(answering(400, body), {})
    assert "400" in caught.value.message
    assert caught.value.detail == "UserError: OpenAI API hits AuthenticationError"
    with pytest.raises(ServingError) as caught:
        score(answering(502, "<html>a proxy</html>"), {})
    assert caught.value.detail == "<html>a proxy</html>"


def test_a_server_that_breaks_off_or_is_gone(answering: Answering) -> None:
    with pytest.raises(ServingError, match="broke the connection off"):
        score(answering(0, ""), {})
    with pytest.raises(ServingError):
        score("http://127.0.0.1:1", {})


def test_a_proxy_of_this_machine_is_not_asked(answering: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert score(answering(200, ""), {"a": 1}).answer == {"a": 1}
