"""Renders an image plan as a Dockerfile: the same plan gives the same bytes.

With BuildKit, pip's downloads are kept in a cache mount, and pip's configuration and a CA bundle come as secrets that
stay in no layer. Engines without it (Azure Container Registry Tasks, Azure ML's environment builds) get the same
stages without mounts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from flowpack.images.plan import PORT, USER, VIRTUAL_ENVIRONMENT, ImagePlan

PIP_CONFIG_SECRET = "pip-config"  # noqa: S105  (names of BuildKit secrets, not their values)
CA_BUNDLE_SECRET = "ca-bundle"  # noqa: S105

_BUILD_ENVIRONMENT = "/opt/build"


def render_dockerfile(plan: ImagePlan, *, buildkit: bool = True) -> str:
    lines = [
        "# Written by flowpack; `flowpack build` writes it anew.",
        f"ARG PYTHON_VERSION={plan.target.python}",
        "",
        f"# base: {plan.base.origin}",
        *plan.base.lines,
        "",
        *_dependencies(plan, buildkit),
        "",
        *_image(plan),
    ]
    return "\n".join(lines) + "\n"


def _dependencies(plan: ImagePlan, buildkit: bool) -> Iterator[str]:
    """A stage of its own, so that pip and its leftovers stay out of the image."""
    wanted = plan.target.python
    check = (
        f"import sys; found = '%d.%d' % sys.version_info[:2]; "
        f"found == '{wanted}' or sys.exit('the lock is for Python {wanted}, and the base image has ' + found)"
    )
    yield "FROM base AS dependencies"
    yield "USER root"
    yield f'RUN python3 -c "{check}" \\'
    yield f" && python3 -m venv {_BUILD_ENVIRONMENT} \\"
    yield f" && python3 -m venv --without-pip {VIRTUAL_ENVIRONMENT}"
    yield f"COPY {plan.lock} {_BUILD_ENVIRONMENT}/"
    install = (
        f"{_BUILD_ENVIRONMENT}/bin/pip --python {VIRTUAL_ENVIRONMENT}/bin/python install --no-deps --require-hashes"
        f" --no-compile --disable-pip-version-check --no-input{'' if buildkit else ' --no-cache-dir'}"
        f" -r {_BUILD_ENVIRONMENT}/{plan.lock}"
    )
    if buildkit:
        yield "RUN --mount=type=cache,id=flowpack-pip,target=/root/.cache/pip \\"
        yield f"    --mount=type=secret,id={PIP_CONFIG_SECRET},target=/etc/pip.conf \\"
        yield f"    --mount=type=secret,id={CA_BUNDLE_SECRET},target=/run/secrets/{CA_BUNDLE_SECRET} \\"
        yield f"    if [ -f /run/secrets/{CA_BUNDLE_SECRET} ]; then \\"
        yield f"      export PIP_CERT=/run/secrets/{CA_BUNDLE_SECRET} SSL_CERT_FILE=/run/secrets/{CA_BUNDLE_SECRET}; \\"
        yield "    fi \\"
        yield f" && {install} \\"
    else:
        yield f"RUN {install} \\"
    # Bytecode that names its source by hash stays valid whatever time a layer gives the source file.
    yield f" && {VIRTUAL_ENVIRONMENT}/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash \\"
    yield f"    {VIRTUAL_ENVIRONMENT}/lib"


def _image(plan: ImagePlan) -> Iterator[str]:
    yield "FROM base"
    if plan.variables:
        yield "# To be set when it runs: " + ", ".join(plan.variables)
    yield "ENV " + " \\\n    ".join(f"{key}={value}" for key, value in plan.environment.items())
    yield "USER root"
    yield "WORKDIR /flow"
    yield f"COPY --from=dependencies {VIRTUAL_ENVIRONMENT} {VIRTUAL_ENVIRONMENT}"
    for layer in plan.layers:
        yield f"# {layer.comment}"
        yield f"COPY {layer.source} {layer.target}"
    if plan.setup_sh:
        yield f"RUN {json.dumps(['sh', plan.setup_sh])}"
    yield f"USER {USER}:{USER}"
    yield f"EXPOSE {PORT}"
    yield "HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \\"
    yield f"    CMD {json.dumps(list(plan.health_command))}"
    yield "ENTRYPOINT []"
    yield f"CMD {json.dumps(list(plan.command))}"
    yield "LABEL " + " \\\n      ".join(f"{key}={_quoted(value)}" for key, value in plan.labels.items())


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'
