"""Reads pip's configuration without starting pip (which takes a quarter of a second), and translates it for uv.

pip's files and their order: https://pip.pypa.io/en/stable/topics/configuration/
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flowpack.dependencies.index_options import IndexOptions, is_on_this_machine
from flowpack.errors import Location, ToolError

_SECTIONS = ("global", "install")
_CHARACTERS = 64 * 1024
_LINE_CHARACTERS = 8192
_OFF = {"", "0", "false", "no", "off", "n", "f"}

# Other names of options, and the names under which these are looked up.
_SYNONYMS = {"default-timeout": "timeout", "pypi-url": "index-url"}


@dataclass(frozen=True, slots=True)
class UvConfiguration:
    """uv's arguments, which hold no secret, and its environment variables, which may."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)


def default_index() -> str:
    """The index that pip uses if no configuration names one."""
    from pip._internal.models.index import PyPI  # noqa: PLC0415  (nothing else needs it)

    return str(PyPI.simple_url)


def pip_settings(environ: Mapping[str, str] = os.environ, files: tuple[Path, ...] | None = None) -> dict[str, str]:
    """The values pip would use for options that neither a command line nor a requirements file sets."""
    settings: dict[str, str] = {}
    for section in _SECTIONS:
        for path in files if files is not None else _files(environ):
            settings.update(_section(path, section))
    for variable, value in environ.items():
        if variable.startswith("PIP_") and value:
            settings[_normal(variable.removeprefix("PIP_"))] = value
    return settings


def uv_configuration(
    options: IndexOptions, pip: Mapping[str, str], environ: Mapping[str, str] = os.environ
) -> UvConfiguration:
    """Translates pip's configuration and the requirements file's options for uv. The user's uv settings win."""
    wanted = _indexes(options, pip, environ) | _find_links(options, pip, environ) | _connection(options, pip, environ)
    if options.pre or _is_on(pip.get("pre")):
        wanted["UV_PRERELEASE"] = "allow"
    return UvConfiguration(tuple(_arguments(options, pip)), wanted)


def _indexes(options: IndexOptions, pip: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """pip asks all indexes and takes the best version. If an earlier index has a version, uv may add no archives of it
    from later ones, so the main index, which has every archive of a release, comes before the extra ones.
    """
    own_default = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")
    own_extras = environ.get("UV_EXTRA_INDEX_URL", "").split()
    has_own_extras = bool(own_extras or environ.get("UV_INDEX"))
    extras = [*options.extra_index_urls]
    if options.index_url:
        main = options.index_url
    else:
        main = own_default or pip.get("index-url", "")
        extras = [*(own_extras if has_own_extras else pip.get("extra-index-url", "").split()), *extras]
    wanted = {}
    if main and main != own_default:
        wanted["UV_DEFAULT_INDEX"] = main
    if extras and extras != own_extras:
        *first, last = [main or default_index(), *extras]
        wanted |= {"UV_EXTRA_INDEX_URL": " ".join(first), "UV_DEFAULT_INDEX": last}
        if "UV_INDEX_STRATEGY" not in environ:
            wanted["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return wanted


def _find_links(options: IndexOptions, pip: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    own = environ.get("UV_FIND_LINKS", "")
    links = [url.replace(",", "%2C") for url in options.find_links]  # uv separates links with commas
    links += [folder.absolute().as_uri() for folder in options.folders]
    links += [own] if own else [link for each in pip.get("find-links", "").split() for link in _existing(each)]
    return {"UV_FIND_LINKS": ",".join(links)} if links and links != [own] else {}


def _existing(link: str) -> Iterator[str]:
    """The link as a URL. Leaves out a local link that does not exist: pip warns about it, but uv fails."""
    if not is_on_this_machine(link):
        yield link
        return
    path = Path(unquote(urlsplit(link).path)) if "://" in link else Path(link).expanduser()
    if path.exists():
        yield path.absolute().as_uri()


def _connection(options: IndexOptions, pip: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    same = {
        "cert": "SSL_CERT_FILE",
        "client-cert": "SSL_CLIENT_CERT",
        "timeout": "UV_HTTP_TIMEOUT",
        "retries": "UV_HTTP_RETRIES",
        "keyring-provider": "UV_KEYRING_PROVIDER",
    }
    wanted = {name: pip[key] for key, name in same.items() if key in pip and name not in environ}
    if wanted.get("UV_KEYRING_PROVIDER", "subprocess") != "subprocess":  # uv supports no other
        del wanted["UV_KEYRING_PROVIDER"]
    if "timeout" in pip and "UV_HTTP_TIMEOUT" in wanted:
        wanted["UV_HTTP_TIMEOUT"] = pip["timeout"].partition(".")[0]
    if "proxy" in pip:
        proxy = pip["proxy"] if "://" in pip["proxy"] else f"http://{pip['proxy']}"
        wanted |= {name: proxy for name in ("HTTP_PROXY", "HTTPS_PROXY") if name not in environ}
    hosts = [*pip.get("trusted-host", "").split(), *options.trusted_hosts]
    if hosts and "UV_INSECURE_HOST" not in environ:
        wanted["UV_INSECURE_HOST"] = " ".join(hosts)
    return wanted


def _arguments(options: IndexOptions, pip: Mapping[str, str]) -> Iterator[str]:
    if options.no_index or _is_on(pip.get("no-index")):
        yield "--no-index"


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """pip's configuration files; the last one wins."""
    chosen = environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return
    home = Path(environ.get("HOME") or Path.home())
    if sys.platform == "darwin":
        library = "Library/Application Support/pip"
        yield Path("/") / library / "pip.conf"
        user = home / library if (home / library).is_dir() else home / ".config/pip"
    else:
        shared = environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
        yield from (Path(folder) / "pip/pip.conf" for folder in shared.split(os.pathsep) if folder)
        yield Path("/etc/pip.conf")
        user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip"
    if not _is_on(environ.get("PIP_ISOLATED")) and not (chosen and Path(chosen).exists()):
        yield home / ".pip/pip.conf"
        yield user / "pip.conf"
    yield Path(sys.prefix) / "pip.conf"
    if chosen:
        yield Path(chosen)


def _section(path: Path, section: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        text = path.read_text("utf-8")
        if len(text) > _CHARACTERS or max(map(len, text.splitlines()), default=0) > _LINE_CHARACTERS:
            raise configparser.Error  # the parser takes quadratic time beyond
        parser.read_string(text)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except (configparser.Error, UnicodeDecodeError, OSError):
        # The parser's message may quote the line, and the line may hold a password.
        raise ToolError("pip's configuration cannot be read", location=Location(path)) from None
    if not parser.has_section(section):
        return {}
    return {_normal(name): value for name, value in parser.items(section) if value}


def _normal(name: str) -> str:
    name = name.lower().replace("_", "-").removeprefix("--")
    return _SYNONYMS.get(name, name)


def _is_on(value: str | None) -> bool:
    return value is not None and value.strip().lower() not in _OFF
