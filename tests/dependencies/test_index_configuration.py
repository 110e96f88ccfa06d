from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowpack.dependencies.index_configuration import default_index, pip_settings, uv_configuration
from flowpack.dependencies.index_options import IndexOptions
from flowpack.errors import ToolError
from tests.paths import write_tree

NOTHING: dict[str, str] = {}


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": os.environ["PATH"], **more}


def as_pip_says(environ: dict[str, str]) -> dict[str, str]:
    """`pip config list`, with the last of each option winning, as pip's own order has it."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], env=environ, capture_output=True, text=True, check=True
    ).stdout
    found = dict(line.split("=", 1) for line in listed.splitlines())
    settings: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for key, value in found.items():
            name = key.removeprefix(f"{section}.")
            if key.startswith(f"{section}.") and value.strip("'"):
                settings["timeout" if name == "default-timeout" else name] = value.strip("'").replace("\\n", "\n")
    return settings


@pytest.mark.parametrize("chosen", [None, "mine.conf", "missing.conf", os.devnull])
def test_pips_files_and_variables_are_read_in_pips_order(tmp_path: Path, chosen: str | None) -> None:
    write_tree(
        tmp_path,
        {
            ".pip/pip.conf": "[global]\nindex_url = https://old.example\ntrusted-host = old.example\n",
            ".config/pip/pip.conf": "[global]\nindex-url = https://new.example/%40\ntimeout=7\n[install]\npre = true\n",
            "xdg/pip/pip.conf": "[global]\ncert = /xdg.pem\nindex-url = https://xdg.example\n",
            "mine.conf": "[global]\nextra-index-url =\n    https://a.example\n    https://b.example\n[list]\nx=1\n",
        },
    )
    environ = environment(tmp_path, XDG_CONFIG_DIRS=str(tmp_path / "xdg"), PIP_NO_INDEX="", PIP_DEFAULT_TIMEOUT="9")
    if chosen:
        environ["PIP_CONFIG_FILE"] = chosen if chosen == os.devnull else str(tmp_path / chosen)
    assert pip_settings(environ) == as_pip_says(environ)


def test_a_broken_configuration_is_told_without_its_text(tmp_path: Path) -> None:
    write_tree(tmp_path, {"pip.conf": "index-url = https://me:hunter2@example.org\n"})
    with pytest.raises(ToolError) as raised:
        pip_settings({"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "HOME": str(tmp_path)})
    assert "hunter2" not in str(raised.value)
    assert raised.value.location is not None


def test_without_configuration_uv_is_left_alone() -> None:
    configuration = uv_configuration(IndexOptions(), NOTHING, NOTHING)
    assert (configuration.arguments, configuration.environment) == ((), {})


def test_a_main_index_alone_needs_no_strategy() -> None:
    found = uv_configuration(IndexOptions(), {"index-url": "https://me:pw@a.example/simple"}, NOTHING)
    assert found.environment == {"UV_DEFAULT_INDEX": "https://me:pw@a.example/simple"}
    assert "pw" not in repr(found)
    assert found.arguments == ()


def test_extra_indexes_come_after_the_main_one_and_the_best_version_wins() -> None:
    found = uv_configuration(IndexOptions(), {"extra-index-url": "https://a.example\nhttps://b.example"}, NOTHING)
    assert found.environment == {
        "UV_EXTRA_INDEX_URL": f"{default_index()} https://a.example",
        "UV_DEFAULT_INDEX": "https://b.example",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_the_requirements_files_index_puts_the_configurations_indexes_away() -> None:
    options = IndexOptions(index_url="https://mine.example", trusted_hosts=("mine.example",), no_binary=("a,b",))
    pip = {"index-url": "https://a.example", "extra-index-url": "https://b.example", "only-binary": ":all:"}
    found = uv_configuration(options, pip, NOTHING)
    assert found.environment == {"UV_DEFAULT_INDEX": "https://mine.example", "UV_INSECURE_HOST": "mine.example"}
    assert found.arguments == (), "wheels alone are taken, whatever a file or a configuration says"


def test_what_the_user_set_for_uv_stays_theirs() -> None:
    own = {
        "UV_DEFAULT_INDEX": "https://own.example",
        "UV_INDEX": "https://more.example",
        "UV_FIND_LINKS": "https://own.example/links",
        "UV_INDEX_STRATEGY": "first-index",
        "UV_HTTP_TIMEOUT": "1",
        "SSL_CERT_FILE": "/own.pem",
    }
    pip = {"index-url": "https://a.example", "extra-index-url": "https://b.example", "timeout": "9", "cert": "/a.pem"}
    assert uv_configuration(IndexOptions(), {**pip, "find-links": "https://a.example/links"}, own).environment == {}


def test_connection_settings_are_said_in_uvs_words(tmp_path: Path) -> None:
    pip = {
        "cert": "/ca.pem",
        "client-cert": "/me.pem",
        "proxy": "proxy.example:3128",
        "timeout": "15.0",
        "trusted-host": "a.example\nb.example:8443",
        "keyring-provider": "subprocess",
        "no-index": "yes",
        "pre": "1",
        "find-links": f"{tmp_path} {tmp_path / 'missing'} https://a.example/links",
    }
    found = uv_configuration(IndexOptions(), pip, NOTHING)
    assert found.environment == {
        "SSL_CERT_FILE": "/ca.pem",
        "SSL_CLIENT_CERT": "/me.pem",
        "HTTP_PROXY": "http://proxy.example:3128",
        "HTTPS_PROXY": "http://proxy.example:3128",
        "UV_HTTP_TIMEOUT": "15",
        "UV_INSECURE_HOST": "a.example b.example:8443",
        "UV_KEYRING_PROVIDER": "subprocess",
        "UV_PRERELEASE": "allow",
        "UV_FIND_LINKS": f"{tmp_path.as_uri()},https://a.example/links",
    }
    assert found.arguments == ("--no-index",)
