"""A page of Markdown on a terminal, by rich."""

from __future__ import annotations

import shutil

from rich.console import Console
from rich.markdown import Markdown
from rich.theme import Theme

_WIDEST_PAGE = 100


def print_page(page: str) -> None:
    width = min(shutil.get_terminal_size().columns or _WIDEST_PAGE, _WIDEST_PAGE)  # a terminal may say that it has none
    console = Console(width=width, theme=Theme({"markdown.code": "bold"}))  # no background: a terminal may be light
    console.print(Markdown(page, code_theme="ansi_dark", hyperlinks=False))  # an address that can be read
