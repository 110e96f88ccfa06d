"""Chooses one variant for each node that has several, by promptflow's rule: the named one, else the default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from flowpack.documents.yaml_documents import Value
from flowpack.errors import UsageError, nearest
from flowpack.valid_names import check_name


@dataclass(frozen=True, slots=True)
class VariantChoice:
    """``--variant NODE.VARIANT``; promptflow's own ``${NODE.VARIANT}`` is accepted too."""

    node: str
    variant: str

    @classmethod
    def parse(cls, text: str) -> VariantChoice:
        match = re.fullmatch(r"\$\{([^.}]+)\.([^}]+)\}|([^.${}]+)\.([^{}]+)", text.strip())
        if not match:
            raise UsageError(f"'{text}' is not a valid variant", hint="write it as NODE.VARIANT")
        return cls(match[1] or match[3], match[2] or match[4])


def choose_variants(root: Mapping[str, Value], choice: VariantChoice | None) -> dict[str, Value]:
    """For each node with ``use_variants``, the body of its chosen variant."""
    variants = root["node_variants"].mapping() if _there(root, "node_variants") else {}
    nodes = root["nodes"].sequence() if _there(root, "nodes") else []
    chosen: dict[str, Value] = {}
    names = []
    for node in nodes:
        fields = node.mapping()
        if "name" not in fields:
            raise node.error("the node has no name")
        name = fields["name"].string()
        names.append(name)
        if not (_there(fields, "use_variants") and fields["use_variants"].boolean()):
            continue
        if name not in variants:
            raise fields["use_variants"].error(
                f"node '{name}' uses variants, but node_variants has none for it", _close(name, list(variants))
            )
        wanted = choice.variant if choice and choice.node == name else None
        chosen[name] = _variant(variants[name], wanted)
    _check_choice(root, choice, names, chosen)
    return chosen


def _variant(entry: Value, wanted: str | None) -> Value:
    fields = entry.mapping()
    if not _there(fields, "variants"):
        raise entry.error("the key 'variants' is missing")
    options = fields["variants"].mapping()
    for name, each in options.items():
        check_name("variant", name, each.location)
    if wanted is None:
        if not _there(fields, "default_variant_id"):
            raise entry.error("default_variant_id is missing", "add it, or choose with --variant NODE.VARIANT")
        default = fields["default_variant_id"]
        if str(default.data) not in options:
            raise default.error(f"there is no variant '{default.data}'", _close(str(default.data), list(options)))
        wanted = str(default.data)
    if wanted not in options:
        raise fields["variants"].error(f"there is no variant '{wanted}'", _close(wanted, list(options)))
    body = options[wanted].mapping()
    if "node" not in body:
        raise options[wanted].error("the variant has no node")
    body["node"].mapping()
    return body["node"]


def _check_choice(
    root: Mapping[str, Value], choice: VariantChoice | None, names: list[str], chosen: Mapping[str, Value]
) -> None:
    if choice is None or choice.node in chosen:
        return
    where = root.get("nodes") or next(iter(root.values()))
    if choice.node in names:
        raise where.error(f"node '{choice.node}' has no variants", _close(choice.node, list(chosen)))
    raise where.error(f"there is no node '{choice.node}'", _close(choice.node, names))


def _there(fields: Mapping[str, Value], key: str) -> bool:
    return key in fields and not fields[key].is_null


def _close(name: str, options: list[str]) -> str | None:
    if not options:
        return None
    near = nearest(name, options)
    return f"did you mean '{near}'?" if near else f"use one of: {', '.join(options)}"
