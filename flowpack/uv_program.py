"""Where uv is: an extra of flowpack, or a program of the machine."""

from __future__ import annotations

from flowpack.process import find_program


def find_uv_program() -> str | None:
    """The one of this interpreter's environment, which need not be on PATH, else the one on PATH."""
    try:
        from uv import find_uv_bin  # noqa: PLC0415  (an extra, and only what starts uv pays for its import)

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        return find_program("uv")
