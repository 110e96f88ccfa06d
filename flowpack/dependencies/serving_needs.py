"""The packages that a served flow needs in addition to its own requirements."""

from __future__ import annotations

from dataclasses import dataclass

from flowpack.dependencies.requirements import Requirements

DEFAULT_RELEASE = "1.18.5"

# Released together; each requires the others at the same version.
_ONE_RELEASE = ("promptflow-core", "promptflow", "promptflow-tracing")


@dataclass(frozen=True, slots=True)
class ServingNeeds:
    """``tools``: a node runs a tool of promptflow-tools; ``sdk``: a source imports a module that only the full SDK has.

    ``slim``: the full SDK is left out, even if a source imports it. ``azureml``: connections come from a workspace.
    ``identity``: a model without a key signs in. ``installers``: those of pip and setuptools that a source imports.
    """

    tools: bool = False
    sdk: bool = False
    slim: bool = False
    azureml: bool = False
    identity: bool = False
    installers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServingRequirement:
    text: str
    name: str
    because: str


def serving_requirements(needs: ServingNeeds, requirements: Requirements) -> tuple[ServingRequirement, ...]:
    """The requirements to add to the user's own. A package that the user names is added again only for an extra or
    a bound."""
    wanted = [
        _core(needs, requirements),
        ServingRequirement("httpx", "httpx", "promptflow-core imports it but does not declare it"),
        ServingRequirement("flask-cors", "flask-cors", "it lets browsers call the flask engine, as in pf's image"),
        ServingRequirement("gunicorn", "gunicorn", "it is the server"),
        ServingRequirement("uvicorn", "uvicorn", "it serves the fastapi engine"),
    ]
    if needs.sdk and not needs.slim:
        version = wanted[0].text.partition("==")[2]
        text = f"promptflow=={version}" if version else "promptflow"
        wanted.append(ServingRequirement(text, "promptflow", "a source imports a module that promptflow-core lacks"))
    if needs.tools:
        wanted.append(ServingRequirement("promptflow-tools", "promptflow-tools", "LLM nodes and its own tools need it"))
    if needs.identity:
        wanted.append(ServingRequirement("azure-identity", "azure-identity", "a model without a key signs in with it"))
    wanted += [_INSTALLERS[name] for name in needs.installers]
    return tuple(each for each in wanted if {*"[<"} & {*each.text} or not _always_named(each.name, requirements))


_INSTALLERS = {
    "pip": ServingRequirement("pip", "pip", "a source imports it"),
    "setuptools": ServingRequirement(
        "setuptools<82", "setuptools", "a source imports it; setuptools 82 removed pkg_resources"
    ),
}


def promptflow_release(requirements: Requirements) -> str | None:
    """The promptflow release that the user pins; None if they pin none."""
    for name in _ONE_RELEASE:
        for line in requirements.named(name):
            if line.pinned and not line.marker:
                return line.pinned
    return None


def _core(needs: ServingNeeds, requirements: Requirements) -> ServingRequirement:
    release = promptflow_release(requirements)
    if release is None and not any(requirements.named(name) for name in _ONE_RELEASE):
        release = DEFAULT_RELEASE
    extra = "[azureml-serving]" if needs.azureml else ""
    version = f"=={release}" if release else ""
    return ServingRequirement(f"promptflow-core{extra}{version}", "promptflow-core", "it serves the flow")


def _always_named(name: str, requirements: Requirements) -> bool:
    """Whether a requirement installs the package on every target; a constraint alone installs nothing."""
    return any(line.name == name and not line.marker for line in requirements.lines)
