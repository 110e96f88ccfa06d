"""Runs in promptflow's own environment: does what each line of standard input asks and answers with a line.

A request is a JSON object with ``do``; the answer has ``result``, or ``error`` where promptflow raised one. One process
serves many requests, since promptflow takes longer to import than to build a hundred flows.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import sys
from pathlib import Path
from unittest import mock

from filelock import FileLock
from promptflow._sdk._orchestrator import overwrite_variant
from promptflow._sdk._orm import session
from promptflow._sdk.operations import _flow_operations
from promptflow._utils.flow_utils import load_flow_dag, parse_variant
from promptflow._utils.yaml_utils import load_yaml
from promptflow.client import PFClient, load_flow

CLIENT = PFClient()


def build(source, output, variant=None, describe_tools=False):
    """Makes the folder ``flow/`` of ``pf flow build``.

    ``describe_tools`` makes ``.promptflow/flow.tools.json`` too, for which promptflow starts a process a flow.
    """
    without_them = mock.patch.object(_flow_operations, "generate_flow_tools_json")
    with contextlib.nullcontext() if describe_tools else without_them:
        # The build's own option to stop before it exports connections, which would have to exist.
        CLIENT.flows.build(source, output=output, variant=variant, flow_only=True)


def data(source, without=()):
    """What promptflow reads in a YAML file, without some of its keys, as text that shows order and types."""
    read = load_yaml(Path(source))
    return repr({key: value for key, value in _plain(read).items() if key not in without})


def standalone_data(source, variant=None):
    """What a build makes of a DAG flow's file: variants put in, includes taken out."""
    flow = load_flow_dag(Path(source))[1]
    overwrite_variant(flow, *(parse_variant(variant) if variant else ()), drop_node_variants=True)
    flow.pop("additional_includes", None)
    return repr(_plain(flow))


def load(source):
    """Loads a flow as ``load_flow`` does, and reads inputs and nodes as the executor does."""
    flow = load_flow(source)
    if hasattr(flow, "_init_executable"):
        flow._init_executable()
    return type(flow).__name__


def run(source, inputs, init=None):
    """What ``pf flow test`` answers, in a process of its own: a module of one flow may bear the name of another's."""
    mine, its = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_run, args=(its, source, inputs, init))
    process.start()
    its.close()
    try:
        answer = mine.recv()
    except EOFError:
        answer = {"error": "the process ended without an answer"}
    process.join()
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["result"]


def _run(its, source, inputs, init):
    session.lock = FileLock(session.lock.lock_file)  # which refuses to be used by a fork
    its.send(_answer(CLIENT.test, {"flow": source, "inputs": inputs, **({"init": init} if init else {})}))


def _plain(value):
    """ruamel's types as Python's own."""
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, bool):
        return bool(value)
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _answer(ask, arguments):
    try:
        return {"result": ask(**arguments)}
    except BaseException as error:
        return {"error": f"{type(error).__name__}: {error}"}


def main():
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what promptflow and flows print is no answer
    asked = {each.__name__: each for each in (build, data, standalone_data, load, run)}
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(_answer(asked[request.pop("do")], request)), file=answers, flush=True)


if __name__ == "__main__":
    main()
