from __future__ import annotations

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flowpack.errors import UsageError
from flowpack.images.reference import Digest, ImageReference

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag"),
    [
        ("python", "docker.io", "library/python", None),
        ("python:3.11-slim", "docker.io", "library/python", "3.11-slim"),
        ("team/flow:1", "docker.io", "team/flow", "1"),
        ("docker.io/python", "docker.io", "library/python", None),
        ("index.docker.io/team/flow", "docker.io", "team/flow", None),
        ("localhost/flow", "localhost", "flow", None),
        ("localhost:5000/x", "localhost:5000", "x", None),
        ("127.0.0.1:5000/a/b/c:v1.2_3-rc", "127.0.0.1:5000", "a/b/c", "v1.2_3-rc"),
        ("[::1]:5000/x:1", "[::1]:5000", "x", "1"),
        ("teamregistry.azurecr.io/flows/chat:2", "teamregistry.azurecr.io", "flows/chat", "2"),
        ("a__b/c-d.e---f", "docker.io", "a__b/c-d.e---f", None),
        ("localhost:5000", "docker.io", "library/localhost", "5000"),  # no slash: as Docker reads it
    ],
)
def test_a_reference_is_read_as_docker_reads_it(text: str, registry: str, repository: str, tag: str | None) -> None:
    assert ImageReference.parse(text) == ImageReference(registry, repository, tag)


def test_a_digest_is_part_of_a_reference() -> None:
    reference = ImageReference.parse(f"localhost:5000/x:1@sha256:{HEX}")
    assert reference.digest == Digest("sha256", HEX)
    assert reference.tag == "1"
    assert str(reference) == f"localhost:5000/x:1@sha256:{HEX}"


def test_the_form_with_a_digest_is_written_out() -> None:
    digest = Digest.parse(f"sha256:{HEX}")
    assert ImageReference.parse("python:3").with_digest(digest) == f"docker.io/library/python@sha256:{HEX}"
    assert ImageReference.parse("localhost:5000/a/b:1").with_digest(digest) == f"localhost:5000/a/b@sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "registry/repository:tag"),
        ("my flow", "without spaces"),
        ("https://localhost:5000/x", "'localhost:5000/x'"),
        ("localhost:5000/Team/Flow:V1", "'localhost:5000/team/flow:V1'"),
        ("Team/flow", "'team/flow'"),
        ("flow:", "a tag has"),
        ("flow:-1", "a tag has"),
        ("flow:" + "x" * 129, "a tag has"),
        ("a//b", "a repository is"),
        ("localhost:5000/", "a repository is"),
        ("-a", "a repository is"),
        ("a.b:port/x", "'a.b:port' is not a host name"),
        ("x@sha256:abc", "64 lower-case"),
        (f"x@sha256:{HEX.upper()}", "64 lower-case"),
        ("x@", "64 lower-case"),
        (HEX, "image ID"),
        ("localhost/" + "a" * 250, "255"),
        ("flow\n", "without spaces"),
        ("größe/flow", "a repository is"),
    ],
)
def test_a_bad_reference_is_refused_with_what_to_write_instead(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        ImageReference.parse(text)
    assert caught.value.exit_code == 2
    assert hint in (caught.value.hint or "")


def test_a_push_names_its_tag() -> None:
    assert str(ImageReference.parse("localhost:5000/x").tagged()) == "localhost:5000/x:latest"
    assert str(ImageReference.parse("localhost:5000/x:2").tagged()) == "localhost:5000/x:2"


words = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
components = st.builds(
    lambda first, rest: first + "".join(rest),
    words,
    st.lists(
        st.builds(lambda separator, word: separator + word, st.sampled_from([".", "_", "__", "-", "--"]), words),
        max_size=2,
    ),
)
registries = st.sampled_from(
    ["", "docker.io/", "docker.io/library/", "localhost/", "localhost:5000/", "r.example/", "[::1]:80/"]
)
tags = st.one_of(
    st.just(""), st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=9).map(":".__add__)
)
digests = st.sampled_from(["", f"@sha256:{HEX}"])


@given(registries, st.lists(components, min_size=1, max_size=3), tags, digests)
def test_what_is_printed_reads_back_as_the_same(registry: str, repository: list[str], tag: str, digest: str) -> None:
    assume(registry or len(repository) == 1 or "." not in repository[0])  # else that one is taken for the registry
    reference = ImageReference.parse(f"{registry}{'/'.join(repository)}{tag}{digest}")
    assert ImageReference.parse(str(reference)) == reference
    written_out = f"{reference.name}{tag}{digest}"
    assert ImageReference.parse(written_out) == reference
