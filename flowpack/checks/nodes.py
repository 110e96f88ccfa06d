"""The nodes of a DAG flow as written in its document, with every variant, and a place for each value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flowpack.checks.values import at, fields_of, items_of, text_of
from flowpack.documents.yaml_documents import Value
from flowpack.errors import Location
from flowpack.flows.variants import VariantChoice

_FLOW_INPUT = ("flow.", "inputs.")


@dataclass(frozen=True, slots=True)
class Reference:
    """``${inputs.NAME}`` if ``node`` is None, else ``${NODE.output}``. Parsed as promptflow does."""

    value: Value
    node: str | None = None
    input: str | None = None
    section: str = "output"

    @classmethod
    def read(cls, value: Value | None) -> Reference | None:
        text = text_of(value)
        if value is None or text is None or not (text.startswith("${") and text.endswith("}")):
            return None
        inner = text[2:-1]
        prefix = next((each for each in _FLOW_INPUT if inner.startswith(each)), None)
        if prefix:
            return cls(value, input=inner.removeprefix(prefix))
        node, _, rest = inner.partition(".")
        return cls(value, node=node, section=rest.partition(".")[0] if rest else "output")


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node, or one variant of it. ``chosen`` is true if promptflow uses it by default."""

    name: str
    fields: Mapping[str, Value]
    location: Location
    chosen: bool = True

    @property
    def type(self) -> str | None:
        return text_of(self.fields.get("type"))

    @property
    def inputs(self) -> dict[str, Value]:
        return fields_of(self.fields.get("inputs"))

    @property
    def path(self) -> Value | None:
        """The path of the source, a file of the flow."""
        return at(self.fields.get("source"), "path")

    @property
    def aggregates(self) -> bool:
        flags = (self.fields.get(key) for key in ("aggregation", "reduce"))
        return any(flag is not None and flag.data is True for flag in flags)

    def references(self) -> Iterator[Reference]:
        values = [*self.inputs.values(), at(self.fields.get("activate"), "when")]
        yield from filter(None, map(Reference.read, values))


def nodes_of(root: Mapping[str, Value], choice: VariantChoice | None = None) -> Iterator[NodeView]:
    for value in items_of(root.get("nodes")):
        fields = fields_of(value)
        name = text_of(fields.get("name"))
        if name is None:
            continue
        variants = at(root.get("node_variants"), name)
        uses_variants = fields.get("use_variants")
        if uses_variants is None or uses_variants.data is not True or variants is None:
            yield NodeView(name, fields, value.location)
            continue
        default = at(variants, "default_variant_id")
        wanted = None if default is None else str(default.data)
        if choice and choice.node == name:
            wanted = choice.variant
        for variant, body in fields_of(at(variants, "variants")).items():
            node = at(body, "node")
            if node is not None:
                yield NodeView(name, fields_of(node), node.location, wanted == variant)
