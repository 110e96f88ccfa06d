"""What runs in the build stage: uv installs what pip's configuration leads to, and pip does where uv cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import venv
from pathlib import Path

import pytest

from flowpack.images.build_stage import install_packages
from flowpack.images.build_stage.install_packages import pip_settings, uv_environment
from tests.dependencies.packages import sha256, write_wheel

HOW_TO_REACH_THE_INDEX = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "PIP_INDEX_URL", "HOME")


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    wheel = write_wheel(tmp_path / "wheels", "team-tools", "1.2")
    path = tmp_path / "requirements.lock"
    path.write_text(f"team-tools==1.2 \\\n    --hash={sha256(wheel)}\n")
    return path


@pytest.fixture(scope="module")
def python_with_pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    environment = tmp_path_factory.mktemp("python") / "build"
    venv.create(environment, with_pip=True)
    return environment


@pytest.fixture
def build(python_with_pip: Path, tmp_path: Path) -> Path:
    """One of a test's own, as uv is installed into it."""
    return Path(shutil.copytree(python_with_pip, tmp_path / "build", symlinks=True)) / "bin" / "python"


def install(build: Path, lock: Path, configuration: str) -> subprocess.CompletedProcess[str]:
    """By a Python with pip, into an environment without."""
    image = lock.parent / "image" / "bin" / "python"
    venv.create(image.parents[1])
    (lock.parent / "pip.conf").write_text(configuration)
    return subprocess.run(
        [build, install_packages.__file__, lock, image],
        env={
            "PATH": "/usr/bin:/bin",
            "PIP_CONFIG_FILE": str(lock.parent / "pip.conf"),
            **{name: os.environ[name] for name in HOW_TO_REACH_THE_INDEX if name in os.environ},
        },
        cwd=lock.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def installed(lock: Path) -> bool:
    return any((lock.parent / "image").glob("lib/*/site-packages/team_tools.py"))


def test_without_uv_pip_installs_and_says_so(build: Path, lock: Path) -> None:
    done = install(build, lock, f"[global]\nno-index = true\nfind-links = {lock.parent / 'wheels'}\n")
    assert done.returncode == 0, done.stderr
    assert installed(lock)
    assert "uv did not install the packages: pip does" in done.stdout


@pytest.mark.network
def test_uv_finds_what_pip_is_configured_for(build: Path, lock: Path) -> None:
    done = install(build, lock, f"[install]\nfind-links = {lock.parent / 'wheels'}\n")
    assert done.returncode == 0, done.stderr
    assert installed(lock)
    assert "pip does" not in done.stdout


def test_a_wrong_hash_is_refused_in_pip_s_words(build: Path, lock: Path) -> None:
    lock.write_text(f"team-tools==1.2 \\\n    --hash=sha256:{'0' * 64}\n")
    done = install(build, lock, f"[global]\nno-index = true\nfind-links = {lock.parent / 'wheels'}\n")
    assert done.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr
    assert not installed(lock)


def test_an_option_s_nearest_setting_wins() -> None:
    listed = (
        "global.index-url='https://one.example/simple'\n"
        "install.index-url='https://two.example/simple'\n"
        "global.timeout='15'\n"
        ":env:.timeout='60.5'\n"
        "freeze.timeout='1'\n"
    )
    assert pip_settings(listed) == {"index-url": "https://two.example/simple", "timeout": "60.5"}


def test_pip_s_settings_in_uv_s_words() -> None:
    pip = {
        "index-url": "https://main.example/simple",
        "extra-index-url": "https://me:word@extra.example/simple\nhttps://more.example/simple",
        "trusted-host": "main.example extra.example",
        "cert": "/etc/company.pem",
        "timeout": "60.5",
        "proxy": "proxy.example:8080",
    }
    assert uv_environment(pip, {}) == {
        "UV_DEFAULT_INDEX": "https://main.example/simple",
        "UV_EXTRA_INDEX_URL": "https://me:word@extra.example/simple https://more.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "main.example extra.example",
        "SSL_CERT_FILE": "/etc/company.pem",
        "UV_HTTP_TIMEOUT": "60",
        "HTTP_PROXY": "http://proxy.example:8080",
        "HTTPS_PROXY": "http://proxy.example:8080",
    }
    assert "SSL_CERT_FILE" not in uv_environment(pip, {"SSL_CERT_FILE": "/run/secrets/ca-bundle"})


def test_nothing_configured_leaves_uv_alone() -> None:
    assert pip_settings("") == {}
    assert uv_environment({}, {}) == {}
