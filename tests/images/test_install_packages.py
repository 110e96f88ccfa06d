"""What runs in the build stage: one program fetches wheels and runs nothing of them, the next installs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import venv
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flowpack.images.build_stage import download_packages, install_packages
from flowpack.images.build_stage.download_packages import Package, RefusedError, keep, read_lock, take_cached
from tests.dependencies.packages import sha256, write_sdist, write_wheel

HOW_TO_REACH_THE_INDEX = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "PIP_INDEX_URL", "HOME")
HASH = f"--hash=sha256:{'0' * 64}"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return write_wheel(tmp_path / "wheels", "team-tools", "1.2")


@pytest.fixture
def lock(tmp_path: Path, wheel: Path) -> Path:
    path = tmp_path / "requirements.lock"
    path.write_text(f"team-tools==1.2 \\\n    --hash={sha256(wheel)}\n    # via -r requirements.txt\n")
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


class NothingHere(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(HTTPStatus.NOT_FOUND)


@pytest.fixture
def index_without_packages() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), NothingHere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/simple/"
    server.shutdown()
    server.server_close()


def run(build: Path, program: str, folder: Path, *arguments: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [build, "-I", program, *arguments],
        env={
            "PATH": "/usr/bin:/bin",
            "PIP_CONFIG_FILE": str(folder / "pip.conf"),
            **{name: os.environ[name] for name in HOW_TO_REACH_THE_INDEX if name in os.environ},
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def fetch(build: Path, lock: Path, configuration: str) -> subprocess.CompletedProcess[str]:
    (lock.parent / "pip.conf").write_text(configuration)
    cache = lock.parent / "cache"
    cache.mkdir(exist_ok=True)
    return run(build, download_packages.__file__, lock.parent, lock, lock.parent / "fetched", cache)


def install(build: Path, lock: Path) -> subprocess.CompletedProcess[str]:
    """By a Python with pip, into an environment without."""
    image = lock.parent / "image"
    venv.create(image)
    return run(build, install_packages.__file__, lock.parent, lock.parent / "fetched", image / "bin" / "python")


def installed(lock: Path) -> bool:
    return any((lock.parent / "image").glob("lib/*/site-packages/team_tools.py"))


def wheels_alone(lock: Path) -> str:
    return f"[global]\nno-index = true\nfind-links = {lock.parent / 'wheels'}\n"


def test_without_uv_pip_installs_and_says_so(build: Path, lock: Path) -> None:
    fetched = fetch(build, lock, wheels_alone(lock))
    assert fetched.returncode == 0, fetched.stderr
    done = install(build, lock)
    assert done.returncode == 0, done.stderr
    assert installed(lock)
    assert "uv did not install the packages: pip does" in done.stdout


@pytest.mark.network
def test_uv_installs_what_was_fetched(build: Path, lock: Path) -> None:
    fetched = fetch(build, lock, f"[install]\nfind-links = {lock.parent / 'wheels'}\n")
    assert fetched.returncode == 0, fetched.stderr
    done = install(build, lock)
    assert done.returncode == 0, done.stderr
    assert installed(lock)
    assert "pip does" not in done.stdout


def test_a_wrong_hash_is_refused_in_pip_s_words(build: Path, lock: Path) -> None:
    lock.write_text(f"team-tools==1.2 \\\n    {HASH}\n")
    done = fetch(build, lock, wheels_alone(lock))
    assert done.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr


def test_an_index_that_does_not_answer_is_told(build: Path, lock: Path) -> None:
    done = fetch(build, lock, "[global]\nindex-url = http://127.0.0.1:9/simple/\nretries = 0\n")
    assert done.returncode == 1
    assert "Could not fetch URL http://127.0.0.1:9/simple/team-tools/" in done.stderr
    assert "--allow-source" not in done.stderr


def test_an_index_without_the_package_is_no_index_that_does_not_answer(
    build: Path, lock: Path, index_without_packages: str
) -> None:
    done = fetch(build, lock, f"[global]\nindex-url = {index_without_packages}\nretries = 0\n")
    assert done.returncode == 1
    assert "Could not fetch URL" not in done.stderr
    assert "--allow-source team-tools" in done.stderr


@pytest.mark.attack("C2")
@pytest.mark.parametrize("configuration", ["", "no-binary = :all:\n", "no-binary = hostile\n"])
def test_no_source_distribution_is_fetched_whatever_pip_s_configuration_says(
    build: Path, tmp_path: Path, lock: Path, configuration: str
) -> None:
    mark = tmp_path / "ran"
    hostile = write_sdist(tmp_path / "wheels", "hostile", "1.0", {"setup.py": f"open({str(mark)!r}, 'w')\n"})
    lock.write_text(f"hostile==1.0 --hash={sha256(hostile)}\n")
    done = fetch(build, lock, wheels_alone(lock) + configuration)
    assert done.returncode == 1
    assert "--allow-source hostile" in done.stderr
    assert not mark.exists()
    assert list((tmp_path / "fetched").glob("*.tar.gz")) == []


@pytest.mark.attack("C2")
@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (f"--no-binary hostile\nhostile==1.0 {HASH}", "the option --no-binary"),
        (f"--global-option=build_ext\nhostile==1.0 {HASH}", "the option --global-option=build_ext"),
        (f"-e git+https://example.com/hostile {HASH}", "the option -e"),
        (f"hostile @ https://example.com/hostile-1.0.tar.gz {HASH}", "'hostile' of the lock is a source distribution"),
        (f"hostile @ https://example.com/hostile-1.0.zip?x=.whl {HASH}", "is a source distribution"),
        (f"hostile @ https://example.com/hostile-1.0.tar.gz#x.whl {HASH}", "is a source distribution"),
        ("hostile==1.0", "is not a package with its hashes"),
        (f"hostile==1.0 --config-settings=x=y {HASH}", "is not a package with its hashes"),
        (f"./hostile-1.0.tar.gz {HASH}", "is not a package with its hashes"),
    ],
)
def test_a_lock_that_asks_for_more_than_wheels_is_refused(entry: str, why: str) -> None:
    with pytest.raises(RefusedError) as raised:
        read_lock(f"{entry}\n")
    assert why in str(raised.value)


def test_what_a_lock_of_flowpack_s_has_is_read() -> None:
    options, packages = read_lock(
        "# a comment\n--index-url https://a.example/simple\n--pre\n\n"
        f"one==1.0 \\\n    {HASH} \\\n    --hash=sha256:{'1' * 64}\n    # via two\n"
        f"two @ https://a.example/two-2.0-py3-none-any.whl \\\n    {HASH}\n"
    )
    assert options == ["--index-url https://a.example/simple", "--pre"]
    assert [(each.requirement, len(each.hashes)) for each in packages] == [
        ("one==1.0", 2),
        ("two @ https://a.example/two-2.0-py3-none-any.whl", 1),
    ]


@pytest.fixture
def package(wheel: Path) -> Package:
    return Package("team-tools==1.2", frozenset([sha256(wheel).partition(":")[2]]))


@pytest.fixture
def cache(tmp_path: Path, package: Package, wheel: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    keep(package, wheel, folder)
    return folder


@pytest.fixture
def fetched(tmp_path: Path) -> Path:
    folder = tmp_path / "fetched"
    folder.mkdir()
    return folder


def test_an_archive_of_the_cache_is_taken(cache: Path, package: Package, fetched: Path, wheel: Path) -> None:
    assert take_cached(package, cache, fetched)
    assert (fetched / wheel.name).read_bytes() == wheel.read_bytes()


@pytest.mark.attack("C2")
@pytest.mark.parametrize("what", ["changed", "link", "pipe", "folder", "other name", "endless"])
def test_an_archive_that_somebody_changed_in_the_cache_does_not_count(
    cache: Path, package: Package, fetched: Path, what: str
) -> None:
    [archive] = cache.iterdir()
    if what == "changed":
        archive.write_bytes(archive.read_bytes() + b"x")
    elif what == "other name":
        archive.rename(cache / archive.name.replace("team_tools", "other"))
    else:
        archive.rename(cache / "real")
        if what == "link":
            archive.symlink_to(cache / "real")
        elif what == "endless":
            archive.symlink_to("/dev/zero")
        elif what == "pipe":
            os.mkfifo(archive)
        else:
            archive.mkdir()
    assert not take_cached(package, cache, fetched)
    assert list(fetched.iterdir()) == []


@pytest.mark.attack("C2")
def test_what_a_half_finished_installation_left_does_not_run(build: Path, lock: Path) -> None:
    """uv may fail after it has written a `.pth` file; pip then starts the environment's interpreter."""
    assert fetch(build, lock, wheels_alone(lock)).returncode == 0
    mark = lock.parent / "ran"
    venv.create(lock.parent / "image")
    [packages] = (lock.parent / "image").glob("lib/python*/site-packages")
    (packages / "hostile.pth").write_text(f"import pathlib; pathlib.Path({str(mark)!r}).touch()\n")
    done = install(build, lock)
    assert done.returncode == 0, done.stderr
    assert installed(lock)
    assert not mark.exists()
