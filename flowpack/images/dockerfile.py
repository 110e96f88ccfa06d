"""Renders an image plan as a Dockerfile: the same plan gives the same bytes, and layers with the same bytes in them.

Packages are fetched in one step and installed in the next. The first has the build's secrets (pip's configuration, a CA
bundle, which stay in no layer) and a cache mount, and stores wheels as they are; the second unpacks them and has
neither, so nothing of a package meets a secret or the cache. Engines without BuildKit (Azure Container Registry Tasks,
Azure ML's environment builds) get the same stages without mounts. What a layer gets is put together in a stage of its
own below /layer, with fixed times, modes and owners; copying the whole tree at once keeps the times of its folders too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from flowpack.images.plan import BUILD_STAGE, FILE_TIME, PORT, USER, VIRTUAL_ENVIRONMENT, WHEELS, ImagePlan, Layer
from flowpack.quoting import dockerfile_comment, dockerfile_value, dockerfile_words

PIP_CONFIG_SECRET = "pip-config"  # noqa: S105  (names of BuildKit secrets, not their values)
CA_BUNDLE_SECRET = "ca-bundle"  # noqa: S105

_PYTHON_VERSION = re.compile(r"^ARG PYTHON_VERSION\b.*")  # a Dockerfile.base asks for the image's Python with it
_BUILD_ENVIRONMENT = "/opt/build"
_FETCHED = f"{_BUILD_ENVIRONMENT}/fetched"
_CACHE = "/var/cache/flowpack"
_LAYER = "/layer"
_IN_LAYER = f"{_LAYER}{VIRTUAL_ENVIRONMENT}"
_TESTS = "'/tests?/'"
_SETTLE = f"chmod -R u=rwX,go=rX {_LAYER} && find {_LAYER} -exec touch -h -d @{FILE_TIME} {{}} +"


def render_dockerfile(plan: ImagePlan, *, buildkit: bool = True) -> str:
    lines = [
        "# Written by flowpack; `flowpack build` overwrites it.",
        dockerfile_comment(f"base: {plan.base.origin}"),
        *(_PYTHON_VERSION.sub(f"ARG PYTHON_VERSION={plan.target.python}", line) for line in plan.base.lines),
        "",
        *_dependencies(plan, buildkit),
        "",
        *(line for layer in plan.layers for line in (*_layer(layer), "")),
        *_image(plan),
    ]
    return "\n".join(lines) + "\n"


def _dependencies(plan: ImagePlan, buildkit: bool) -> Iterator[str]:
    """The packages of the lock; a stage of its own, so that pip and its leftovers stay out of the image."""
    wanted = plan.target.python
    check = (
        f"import sys; found = '%d.%d' % sys.version_info[:2]; "
        f"found == '{wanted}' or sys.exit('the lock is for Python {wanted}, and the base image has ' + found)"
    )
    yield "FROM base AS dependencies"
    yield "USER root"
    yield f'RUN python3 -I -c "{check}" \\'
    yield f" && python3 -I -m venv {_BUILD_ENVIRONMENT} \\"
    yield f" && python3 -I -m venv --without-pip {VIRTUAL_ENVIRONMENT} \\"
    # A link, so that scripts and bytecode contain the image's path in every stage.
    yield f" && mkdir -p {PurePosixPath(_IN_LAYER).parent} && mv {VIRTUAL_ENVIRONMENT} {_IN_LAYER} \\"
    yield f" && ln -s {_IN_LAYER} {VIRTUAL_ENVIRONMENT}"
    yield f"COPY {plan.lock} {BUILD_STAGE} {_BUILD_ENVIRONMENT}/"
    if plan.wheels:
        yield "# built from source distributions by flowpack"
        yield f"COPY {WHEELS} {_BUILD_ENVIRONMENT}/{WHEELS}/"
    python = f"{_BUILD_ENVIRONMENT}/bin/python -I"
    fetch = f"{python} {_BUILD_ENVIRONMENT}/download_packages.py {_BUILD_ENVIRONMENT}/{plan.lock} {_FETCHED}"
    if buildkit:
        bundle = f"/run/secrets/{CA_BUNDLE_SECRET}"
        # Not the cache of older releases, which had unpacked packages in it.
        yield f"RUN --mount=type=cache,id=flowpack-wheels,target={_CACHE} \\"
        yield f"    --mount=type=secret,id={PIP_CONFIG_SECRET},target=/etc/pip.conf \\"
        yield f"    --mount=type=secret,id={CA_BUNDLE_SECRET},target={bundle} \\"
        yield f"    if [ -f {bundle} ]; then export PIP_CERT={bundle}; fi \\"
        yield f" && {fetch} {_CACHE}"
    else:
        yield f"RUN {fetch}"
    yield f"RUN {python} {_BUILD_ENVIRONMENT}/install_packages.py {_FETCHED} {VIRTUAL_ENVIRONMENT}/bin/python \\"
    # Bytecode that names its source by hash stays valid whatever time a layer gives the source file. A source that
    # does not compile, such as a template, does not stop the installation. Tests in packages are not compiled.
    yield f" && {{ {_compile(f'-x {_TESTS} {VIRTUAL_ENVIRONMENT}/lib', 'unchecked-hash')} || true; }} \\"
    yield f" && {_SETTLE}"


def _layer(layer: Layer) -> Iterator[str]:
    """Files of the context. Their bytecode is checked, as a setup script may change a source."""
    yield f"FROM base AS {layer.name}"
    yield "USER root"
    for copy in layer.copies:
        yield dockerfile_comment(copy.comment)
        yield f"COPY {copy.source} {_LAYER}{copy.target}"
    yield f"RUN {{ {_compile(f'-s {_LAYER} -p / {_LAYER}', 'checked-hash')} || true; }} \\"
    yield f" && {_SETTLE}"


def _image(plan: ImagePlan) -> Iterator[str]:
    yield "FROM base"
    if plan.variables:
        yield dockerfile_comment("To be set when it runs: " + ", ".join(plan.variables))
    yield "ENV " + " \\\n    ".join(f"{key}={value}" for key, value in plan.environment.items())
    yield "USER root"
    yield f"COPY --from=dependencies {_LAYER}/ /"
    for layer in plan.layers:
        yield f"COPY --from={layer.name} {_LAYER}/ /"
    yield "WORKDIR /flow"
    if plan.setup_sh:
        yield f"RUN {dockerfile_words(['sh', plan.setup_sh])}"
    yield f"USER {USER}:{USER}"
    yield f"EXPOSE {PORT}"
    yield "HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \\"
    yield f"    CMD {dockerfile_words(plan.health_command)}"
    yield "ENTRYPOINT []"
    yield f"CMD {dockerfile_words(plan.command)}"
    yield "LABEL " + " \\\n      ".join(f"{key}={dockerfile_value(value)}" for key, value in plan.labels.items())


def _compile(what: str, mode: str) -> str:
    return f"python3 -I -S -m compileall -q -j 0 --invalidation-mode {mode} {what}"
