"""The build context: everything that ``docker build`` needs, and the settings a person fills in, in one folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowpack.assembly.files import FileSource, WrittenFile, digest_of
from flowpack.assembly.flow_folder import FlowFolder
from flowpack.assembly.names import below
from flowpack.assembly.staging import MARKER
from flowpack.documents.yaml_documents import dump
from flowpack.errors import InputError
from flowpack.flows.connections import Connection
from flowpack.images.build_record import BuildRecord
from flowpack.images.plan import BUILD_STAGE, SBOM_NAME, SERVING_PACKAGE, WHEELS, ImagePlan
from flowpack.images.sbom import render_sbom

_OUT_OF_THE_CONTEXT = f"""# What the Dockerfile copies, and nothing else.
*
!requirements.lock
!{SBOM_NAME}
!connections
!flow
!{SERVING_PACKAGE}
!{BUILD_STAGE}
"""


@dataclass(frozen=True)
class BuildContext:
    """``flow`` is the standalone folder; ``files`` are the others, by path."""

    flow: FlowFolder
    files: Mapping[str, FileSource]
    digest: str

    def write(self, folder: Path) -> None:
        """Writes everything beside the standalone folder, which ``folder`` has already."""
        (folder / "connections").mkdir()
        for relative, source in self.files.items():
            path = below(folder, relative)
            path.parent.mkdir(parents=True, exist_ok=True)
            source.write(str(path), lambda _: None)


def build_context(
    folder: FlowFolder,
    *,
    connections: Sequence[Connection],
    plan: ImagePlan,
    dockerfile: str,
    lock: str,
    buildkit: bool = True,
    wheels: Sequence[Path] = (),
) -> BuildContext:
    _check_file_names(connections)
    texts = {
        ".dockerignore": _OUT_OF_THE_CONTEXT + (f"!{WHEELS}\n" if plan.wheels else ""),
        "Dockerfile": dockerfile,
        plan.lock: lock,
        SBOM_NAME: _sbom(folder, plan, lock),
        "settings.json": json.dumps(dict.fromkeys(plan.variables, ""), indent=2, ensure_ascii=False) + "\n",
        **{f"connections/{each.file_name}": dump(each.document()) for each in connections},
        **{f"{SERVING_PACKAGE}/{path.name}": path.read_text(encoding="utf-8") for path in _serving_sources()},
        **{f"{BUILD_STAGE}/{path.name}": path.read_text(encoding="utf-8") for path in _build_stage_files()},
    }
    files: dict[str, FileSource] = {
        name: WrittenFile(Path(name), text.encode()) for name, text in sorted(texts.items())
    }
    files |= {f"{WHEELS}/{path.name}": WrittenFile(path, path.read_bytes()) for path in sorted(wheels)}
    listing = "".join(f"{digest_of(source)} {name}\n" for name, source in files.items())
    digest = "sha256:" + hashlib.sha256(f"{folder.digest}\n{listing}".encode()).hexdigest()
    record = _record(folder, plan, digest, connections, buildkit=buildkit)
    return BuildContext(folder, {**files, MARKER: WrittenFile(Path(MARKER), record.text().encode())}, digest)


def _check_file_names(connections: Sequence[Connection]) -> None:
    """On macOS and Windows the case of a letter makes no other file."""
    owners: dict[str, Connection] = {}
    for connection in connections:
        other = owners.setdefault(connection.file_name.casefold(), connection)
        if other is not connection:
            raise InputError(
                f"connections '{other.name}' and '{connection.name}' both need the file '{connection.file_name}'",
                hint="rename one of the two in the flow",
            )


def required_variables(connections: Sequence[Connection]) -> tuple[str, ...]:
    """What has to be set, in the order of the connections; two connections must not need one variable."""
    owners: dict[str, Connection] = {}
    for connection in connections:
        for variable in connection.variables:
            other = owners.setdefault(variable, connection)
            if other is not connection:
                raise InputError(
                    f"connections '{other.name}' and '{connection.name}' both need the variable {variable}",
                    hint="rename one of the two in the flow",
                )
    return tuple(owners)


def _record(
    folder: FlowFolder, plan: ImagePlan, digest: str, connections: Sequence[Connection], *, buildkit: bool
) -> BuildRecord:
    flow = folder.flow
    return BuildRecord(
        flow_name=flow.name,
        flow_kind=flow.kind.value,
        flow_file=flow.standalone_name,
        flow_digest=folder.digest,
        files=len(folder.files),
        properties=_promptflow_properties(plan),
        lock_digest=plan.labels["flowpack.lock.digest"],
        context_digest=digest,
        target=plan.target,
        connections={each.name: each.variables for each in connections},
        buildkit=buildkit,
    )


def _sbom(folder: FlowFolder, plan: ImagePlan, lock: str) -> str:
    return render_sbom(
        flow_name=folder.flow.name,
        flow_digest=folder.digest,
        lock=lock,
        python=plan.target.python,
        platform=str(plan.target.platform),
        properties=_promptflow_properties(plan),
    )


def _promptflow_properties(plan: ImagePlan) -> dict[str, str]:
    return {key: value for key, value in plan.labels.items() if key.startswith("azureml.promptflow.")}


def _serving_sources() -> list[Path]:
    return sorted((Path(__file__).parents[1] / "serving").glob("*.py"))


def _build_stage_files() -> list[Path]:
    folder = Path(__file__).with_name(BUILD_STAGE)
    return [folder / name for name in ("download_packages.py", "fetch_by_hash.py", "install_packages.py", "uv.lock")]
