"""Texts that are made to stall a reader: one small unit, again and again, in a frame where the reader meets it.

The property test, the benchmark and the fuzz job draw on the same list: a shape that is added is held everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

NUMBER = "{n}"
"""In a unit: which repetition it is, so that no two are alike."""

# Units by what they are hard on; each kind is given to every reader, since formats lie within one another.
_UNITS = {
    "white space": [
        " ",
        "\t",
        "\n",
        "\r",
        "\r\n",
        " \n",
        "\n ",
        "  \n    \n",
        "\x0b",
        "\x0c",
        "\u00a0",
        "\u2028",
        "\ufeff",
    ],
    "characters": ["a", "é", "\u65e5", "\U0001f600", "\x00", "\x7f", "\\", "\\\n", "_", "%", "~", "=", "@", "`"],
    "digits": ["0", "9", "1_", "0x", "9.", "1e", "9" * 40 + ",", "0xffff,", "1:", "2024-01-01 "],
    "brackets": [
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        "<",
        "[]",
        "{}",
        "()",
        "[{",
        "[[],",
        "{a:",
        '{"a":',
        "[1,",
        "(a,",
        "{[(",
    ],
    "separators": [",", ";", ":", ": ", "- ", "? ", "a,", "a;", "a: ", "a:\n", "- a\n", "? a\n", ", ,", "|", ">", "||"],
    "quotes": ["'", '"', "''", '""', "'''", '"""', "'\"", "\\'", '\\"', "'a", '"a', "'a' ", '"a" ', "a'b\"", '"\n'],
    "comments": [
        "#",
        "# ",
        " #",
        "#\n",
        " #\n",
        "#a\n",
        "{#",
        "#}",
        "{# #}",
        "| #",
        "> #",
        "|-#",
        "| \n",
        "|  \n  \n",
        "> # a\n \n",
    ],
    "markers": [
        "-",
        "---",
        "--- ",
        "---\n",
        "---\r\n",
        "----\n",
        "-\n",
        "...\n",
        "...",
        "%YAML 1.2\n",
        "%TAG !a{n}! b\n",
        "%a{n}\n",
    ],
    "anchors": [
        "&a ",
        "*a ",
        "&a *a",
        "- &a{n} x\n",
        "- &a x\n- *a\n",
        "<<: ",
        "- <<: *a\n",
        "!",
        "!! ",
        "!a ",
        "!<a> ",
        "!!str ",
    ],
    "YAML": [
        "a: |\n b\n",
        "- |\n  a\n",
        "- >\n\n",
        "- {a: b}\n",
        "- [a]\n",
        "a{n}: b\n",
        "a: b\n",
        " a:\n",
        "- - ",
        "a b\n",
        "a\n\n",
        "- 'a'\n",
        '- "a"\n',
        "- a # b\n",
        "  - a\n",
        "- {n}: a\n",
        "? - a\n",
        "- &a{n} [*a{n}]\n",
        "a{n}: &b{n} {c: d}\n",
    ],
    "indentation": ["a:\n ", "if a:\n ", "{deep}", "{deep}a:\n"],
    "Jinja": [
        "{{",
        "}}",
        "{%",
        "%}",
        "{{ a }}",
        "{{ a{n} }}",
        "{{ a",
        "{% if a %}",
        "{% if a{n} %}b{% endif %}",
        "{% else %}",
        "{% elif a{n} %}",
        "{% for a{n} in b %}",
        "{% for a in b{n} %}{% endfor %}",
        "{% set a{n} = b %}",
        "{% set a.b = c %}",
        "{% raw %}",
        "{% endraw %}",
        "{% macro a{n}(b) %}c{% endmacro %}",
        "{% block a{n} %}{% endblock %}",
        "{% include a %}",
        "{%- -%}",
        "{{-",
        "-}}",
        "{{ a|b }}",
        "{% with a{n}=b %}",
        "{% filter a %}",
        "{% call a() %}",
        "{% autoescape true %}",
        "{% import 'a' as a{n} %}",
        "{{ '",
        "{#-",
    ],
    "expressions": [
        "a|",
        "|a",
        "a+",
        "a-",
        "-",
        "+",
        "not ",
        "a and ",
        "a if b else ",
        "a.",
        ".a",
        "a[",
        "[0]",
        "a(",
        "()",
        "a~",
        "a**",
        "a*",
        "a is b ",
        "a is not ",
        "a in ",
        "a==",
        "a<",
        "a{n}+",
        "a{n} ",
        "a{n},",
        "'a'",
        "'a'~",
        "1+",
        "[a,",
        "{'a':",
        "lambda:",
        "lambda a:",
    ],
    "references": [
        "${",
        "${a}",
        "${a.output}",
        "${a.output",
        "${inputs.a",
        "${inputs.a{n}}",
        "${env:A}",
        "${env:",
        "${file:a}",
        "$",
        "$(",
        "${${",
    ],
    "Python": [
        "a=1\n",
        "a{n}=1\n",
        "a{n}=a{m}\n",
        "def a{n}():0\n",
        "class A{n}:0\n",
        "class A{n}(A{m}):0\n",
        "class A{n}(A{m}, B):\n def f(s):0\n",
        "@a\n",
        "@tool\ndef a{n}():0\n",
        "import a{n}\n",
        "import a{n}.b\n",
        "from a import b{n}\n",
        "a.",
        "import a.",
        "from . import a\n",
        "if a:0\nelif b:0\n",
        "if a:0\n",
        "try:0\nexcept:0\n",
        "with a:0\n",
        "a if b else ",
        "sys.path.append('a{n}')\n",
        "import sys\n",
        "f'{",
        "f'{a}'",
        "b'a'",
        "async ",
        "await ",
        "yield ",
        "*",
        "*a,",
        "**a,",
        "a=1,",
        "a{n}=1,",
        "a{n}:int,",
        "a{n}: A=1,",
        "a:=",
        "->",
        "match a:\n case 1:0\n",
        "def f(a: b):\n ",
        "x: 'a'\n",
        "a[0]=",
        "a=",
        "Union[",
        "Optional[",
        "List[int],",
    ],
    "JSON": [
        '{"a":',
        '{"a": 1},',
        '"a",',
        '"a": 1,',
        '"a{n}": 1,',
        "[1],",
        "null,",
        "-",
        '"\\u',
        '"\\ud800',
        "1e9,",
        "NaN,",
        "//",
        "/*",
    ],
    "requirements": [
        "a\n",
        "a{n}\n",
        "a==1\n",
        "a{n}==1.{n}\n",
        ">=1,",
        "==1.*,",
        "a[b,",
        ";a==",
        "a @ b\n",
        "--hash=sha256:a ",
        "-r a\n",
        "-c a\n",
        "--index-url a\n",
        "--extra-index-url a{n}\n",
        "-f a\n",
        "-e .\n",
        "# via\n",
        "#   a{n}\n",
        "    # via a\n",
        "    --hash=sha256:" + "0" * 64 + " \\\n",
        "; python_version<'3' and ",
        "a==1 \\\n",
        "1.",
        "1!",
        "1.dev",
        "-1",
        " --a",
        "--a=b ",
    ],
    "patterns": [
        "*",
        "**",
        "**/",
        "*a",
        "a*",
        "*a*\n",
        "*{n}\n",
        "a/\n",
        "!a\n",
        "!*{n}\n",
        "a/**/b\n",
        "?",
        "[a",
        "[!",
        "[a-",
        "[[:alpha:]]",
        "\\*",
        "/",
    ],
    "Docker": [
        "FROM a\n",
        "FROM a AS b{n}\n",
        "FROM ",
        "RUN a\n",
        "RUN a \\\n",
        "ARG a\n",
        "# syntax=a\n",
        "--platform=a ",
        " AS ",
    ],
    "variables": [
        "A=b\n",
        "A{n}=b\n",
        "A=",
        "=b\n",
        "export A=b\n",
        "A\n",
        "A=${A}\n",
        "-----BEGIN ",
        "sig=",
        "://a:",
        "a@",
        "://",
        "AccountKey=",
    ],
}


@dataclass(frozen=True, slots=True)
class Shape:
    """``text(length)`` is a text of about that many characters."""

    name: str
    text: Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the repeated units, so that a reader gets as far as the part of it that meets them."""

    before: str = ""
    after: str = ""

    def around(self, text: str) -> str:
        return f"{self.before}{text}{self.after}"

    def __str__(self) -> str:
        return f"{self.before}…{self.after}"


def repeated(unit: str, length: int) -> str:
    """The unit until the length is reached; numbered where it has a place for its number."""
    if "{deep}" in unit:
        return "".join(_deeper(unit, length))
    if NUMBER not in unit and "{m}" not in unit:
        return unit * (length // len(unit))
    parts = []
    number = size = 0
    while size < length:
        part = unit.replace(NUMBER, str(number + 1)).replace("{m}", str(number))
        parts.append(part)
        size += len(part)
        number += 1
    return "".join(parts)


def _deeper(unit: str, length: int) -> Iterator[str]:
    """Each line one space deeper than the one before: as long a text as its depth squared."""
    depth = size = 0
    while size < length:
        line = " " * depth + (unit.replace("{deep}", "") or "a\n")
        yield line
        size += len(line)
        depth += 1


def of_unit(unit: str) -> Shape:
    return Shape(repr(unit), lambda length: repeated(unit, length))


def _colliding(length: int) -> str:
    """Whole numbers that Python gives one hash."""
    step = 2**61 - 1
    return "".join(f"{number * step}: 0\n" for number in range(length // 22))


def _references(length: int) -> str:
    """Half of the text are nodes, and half what refers to nodes that are not there but are named alike."""
    nodes = "".join(f"- {{name: node_{number}, type: prompt}}\n" for number in range(length // 70))
    return (
        "nodes:\n"
        + nodes
        + "outputs:\n"
        + "".join(f"  o{number}: {{reference: '${{nodes_{number}.output}}'}}\n" for number in range(length // 90))
    )


def _chain(length: int) -> str:
    """Each node reads the one before it."""
    return "nodes:\n" + "".join(
        f"- {{name: n{number}, type: prompt, inputs: {{a: '${{n{number - 1}.output}}'}}}}\n"
        for number in range(length // 62)
    )


def _variants(length: int) -> str:
    names = range(length // 130)
    nodes = "".join(f"- {{name: n{number}, use_variants: true}}\n" for number in names)
    bodies = "".join(
        f"  n{number}: {{default_variant_id: v, variants: {{v: {{node: {{type: prompt, source: {{path: a.md}}}}}}}}}}\n"
        for number in names
    )
    return f"nodes:\n{nodes}node_variants:\n{bodies}"


def _copies(length: int) -> str:
    """One long text, and an alias for it again and again: what is read is the product of the two."""
    return "a: &a " + "x" * (length // 2) + "\nb: [" + "*a, " * min(length // 8, 40_000) + "]\n"


def _one_tool_for_many(length: int) -> str:
    return "nodes:\n" + "".join(
        f"- {{name: n{number}, type: python, source: {{type: code, path: tool.py}}}}\n"
        for number in range(length // 72)
    )


SPECIAL = (
    Shape("keys of one hash", _colliding),
    Shape("references to names that are alike", _references),
    Shape("a chain of nodes", _chain),
    Shape("variants", _variants),
    Shape("copies of a long text", _copies),
    Shape("one tool for many nodes", _one_tool_for_many),
)


def units() -> Iterator[str]:
    """Every unit once."""
    yield from dict.fromkeys(unit for kind in _UNITS.values() for unit in kind)


def all_shapes() -> Iterator[Shape]:
    yield from map(of_unit, units())
    yield from SPECIAL
