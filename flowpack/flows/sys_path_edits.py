"""Finds the folders that a source adds to ``sys.path``, if the expression shows them."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator

from flowpack.flows.python_source import PythonSource, last_name

_ADDERS = {"sys.path.append", "sys.path.insert", "site.addsitedir"}
_UNCHANGED = {"abspath", "realpath", "normpath", "str", "fspath", "Path", "PurePath", "resolve", "absolute", "as_posix"}


def added_folders(source: PythonSource, file: str, working_folder: str) -> Iterator[tuple[ast.Call, str]]:
    """Each edit of the path with the absolute folder, for a source at ``file`` that runs in ``working_folder``."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and node.args and source.full_name(node.func) in _ADDERS:
            folder = _path(source, node.args[-1], file, working_folder)
            if folder is not None:
                yield node, os.path.normpath(os.path.join(working_folder, folder))  # noqa: PTH118  (as text: it need not exist)


def _path(source: PythonSource, node: ast.expr, file: str, here: str) -> str | None:
    """The value of an ``os.path`` or ``pathlib`` expression; None if only running it would show the value."""

    def inner(each: ast.expr) -> str | None:
        return _path(source, each, file, here)

    node = source.meant(node)
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return file if node.id == "__file__" else None
    if isinstance(node, ast.Attribute) and node.attr == "parent":
        return _up(inner(node.value), 1)
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute) and node.value.attr == "parents":
        index = node.slice.value if isinstance(node.slice, ast.Constant) else None
        return _up(inner(node.value.value), index + 1) if isinstance(index, int) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Div, ast.Add)):
        left, right = inner(node.left), inner(node.right)
        separator = "/" if isinstance(node.op, ast.Div) else ""
        return None if left is None or right is None else left + separator + right
    return _of_call(source, node, file, here) if isinstance(node, ast.Call) else None


def _of_call(source: PythonSource, node: ast.Call, file: str, here: str) -> str | None:
    name = last_name(node.func)
    if name in {"getcwd", "cwd"}:
        return here
    parts = [_path(source, each, file, here) for each in node.args]
    if isinstance(node.func, ast.Attribute) and source.full_name(node.func).partition(".")[0] not in {"os", "pathlib"}:
        parts.insert(0, _path(source, node.func.value, file, here))  # a path's own method
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    if name == "dirname":
        return _up(known[0], 1)
    if name in {"join", "joinpath"}:
        return "/".join(known)
    return known[0] if name in _UNCHANGED else None


def _up(path: str | None, levels: int) -> str | None:
    return None if path is None else os.path.normpath(path + "/.." * levels)
