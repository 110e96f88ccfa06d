"""Runs in promptflow's own environment: describes each file of fixtures/python as promptflow does, by importing it."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

from promptflow._core.tool_meta_generator import generate_flow_meta_dict_by_file, generate_python_tool_meta_dict


def tool(path):
    """The inputs of a tool: name, types, default and options of each."""
    inputs = generate_python_tool_meta_dict("tool", path.read_text(encoding="utf-8"), str(path)).get("inputs", {})
    return [[name, each["type"], each.get("default"), each.get("enum")] for name, each in inputs.items()]


def entry(path):
    """The ports of a flex flow's entry ``ask``: the first type and the default of each; an answer has no defaults."""
    meta = generate_flow_meta_dict_by_file({"entry": f"{path.stem}:ask"}, path=str(path))
    ports = {part: meta.get(part) or {} for part in ("inputs", "outputs", "init")}
    return {part: [[name, each["type"], each.get("default")] for name, each in ports[part].items()] for part in ports}


def described(describe, path):
    try:
        return {"result": describe(path)}
    except BaseException as error:
        return {"error": f"{type(error).__name__}: {error}"}


def main():
    folder = Path(sys.argv[1])
    answers = {}
    with contextlib.redirect_stdout(sys.stderr):
        for kind, describe in (("tools", tool), ("entries", entry)):
            for path in sorted((folder / kind).glob("*.py")):
                answers[f"{kind}/{path.name}"] = described(describe, path)
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
