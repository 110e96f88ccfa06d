"""A hook of mkdocs: puts pages of the repository's top into the site, and leads links to them there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
TOP = ("CHANGELOG.md", "SECURITY.md")


def on_files(files: Files, config: Any) -> Files:
    for name in TOP:
        text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A page's path from the site's top is one folder shorter than that from the repository's top."""
    up = "../" * page.file.src_uri.count("/")
    for name in TOP:
        markdown = markdown.replace(f"](../{up}{name}", f"]({up}{name}")
    return markdown
