"""Flows and model documents for the tests of registries."""

from __future__ import annotations

from pathlib import Path

from flowpack.assembly.flow_folder import assemble, write_flow_folder
from flowpack.assembly.roots import IncludeRoots
from flowpack.azureml.models.document import FLOW_DIGEST, SOURCE_FLOW_ID, ModelDocument
from flowpack.flows.reader import read_flow
from tests.images.records import build_record
from tests.paths import FLOWS, write_tree

LOCK_DIGEST = "sha256:" + "7" * 64

FLOW = """\
inputs:
  question: {{type: string, is_chat_input: true, default: {text}}}
  chat_history: {{type: list}}
outputs:
  answer: {{type: string, reference: "${{inputs.question}}", is_chat_output: true}}
nodes: []
"""


def flow_folder(place: Path, text: str = "hello") -> Path:
    """The smallest chat flow; another text is another content."""
    return write_tree(place, {"flow.dag.yaml": FLOW.format(text=text), "notes/facts.md": f"about {text}\n"})


def build_folder(place: Path, flow: Path) -> Path:
    """What ``flowpack build`` writes, as far as a registration looks at it: the flow and the record."""
    read = read_flow(flow)
    folder = assemble(read, IncludeRoots.of(read.folder, (FLOWS.parent,)))
    (place / "flow").mkdir(parents=True)
    write_flow_folder(folder, place / "flow")
    record = build_record(
        flow_name=read.name, flow_file=read.standalone_name, flow_digest=folder.digest, lock_digest=LOCK_DIGEST
    )
    return write_tree(place, {"flowpack.json": record.text()})


def document(content: str = "a", name: str = "chat", **fields: object) -> ModelDocument:
    tags = {FLOW_DIGEST: f"sha256:{content * 64}", "team": "library"}
    return ModelDocument(**{"name": name, "properties": {SOURCE_FLOW_ID: "chat"}, "tags": tags, **fields})  # type: ignore[arg-type]


def content_folder(place: Path, model: ModelDocument) -> Path:
    """What a registry is given for a document: a folder of its name."""
    folder = place / model.folder_name
    if not folder.exists():
        write_tree(folder, {"flow.dag.yaml": "nodes: []\n", "sub/content.txt": model.flow_digest})
    return folder
