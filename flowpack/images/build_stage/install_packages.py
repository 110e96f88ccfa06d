"""Installs a lock into the image's environment: ``install_packages.py LOCK PYTHON``, run by a Python that has pip.

uv installs in a tenth of pip's time. pip's configuration, a build secret say, is told to uv in its own words. Where uv
is not to be had, or fails, pip installs the same packages, and its words are those that the build fails with.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_UV_LOCK = Path(__file__).with_name("uv.lock")
_PIP = (sys.executable, "-m", "pip")
_EXACT = ("--no-deps", "--require-hashes")
_QUIET = ("--disable-pip-version-check", "--no-input")


def main(lock: str, python: str) -> int:
    if _uv_installs(lock, python):
        return 0
    print("uv did not install the packages: pip does", flush=True)
    return subprocess.call([*_PIP, "--python", python, "install", *_EXACT, *_QUIET, "--no-compile", "-r", lock])


def _uv_installs(lock: str, python: str) -> bool:
    installed = subprocess.run(
        [*_PIP, "install", *_EXACT, *_QUIET, "--quiet", "--only-binary", ":all:", "--no-compile", "-r", str(_UV_LOCK)],
        check=False,
    )
    if installed.returncode != 0:
        return False
    settings = pip_settings(
        subprocess.run([*_PIP, "config", "list"], check=True, capture_output=True, text=True).stdout
    )
    uv = [sys.executable, "-m", "uv", "pip", "install", "--python", python, *_EXACT, "--no-progress"]
    # The cache is on a mount of its own, which no file can be linked from.
    environment = {**os.environ, "UV_LINK_MODE": "copy", "UV_NO_CONFIG": "1", **uv_environment(settings, os.environ)}
    no_index = ["--no-index"] if settings.get("no-index", "").lower() in ("1", "true", "yes", "on") else []
    return subprocess.call([*uv, *no_index, "-r", lock], env=environment) == 0


def pip_settings(listed: str) -> dict[str, str]:
    """What ``pip config list`` tells, by option: ``install`` goes before ``global``, the environment before both."""
    found: dict[str, str] = {}
    rank: dict[str, int] = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        order = {"global": 0, "install": 1, ":env:": 2}.get(section)
        if order is not None and order >= rank.get(option, 0):
            rank[option] = order
            found[option] = str(ast.literal_eval(value))
    return found


def uv_environment(pip: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """pip's settings in uv's words. Every index may serve a package: its hash says that it is the right one."""
    wanted = {
        "UV_DEFAULT_INDEX": pip.get("index-url", ""),
        "UV_EXTRA_INDEX_URL": " ".join(pip.get("extra-index-url", "").split()),
        "UV_FIND_LINKS": ",".join(pip.get("find-links", "").split()),
        "UV_INSECURE_HOST": " ".join(pip.get("trusted-host", "").split()),
        "SSL_CERT_FILE": "" if environ.get("SSL_CERT_FILE") else pip.get("cert", ""),
        "SSL_CLIENT_CERT": pip.get("client-cert", ""),
        "UV_HTTP_TIMEOUT": pip.get("timeout", "").partition(".")[0],
    }
    if "proxy" in pip:
        proxy = pip["proxy"] if "://" in pip["proxy"] else f"http://{pip['proxy']}"
        wanted.update(HTTP_PROXY=proxy, HTTPS_PROXY=proxy)
    if "extra-index-url" in pip:
        wanted["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {name: value for name, value in wanted.items() if value}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
