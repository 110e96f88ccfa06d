"""``model.yaml`` on disk, beside the folder that it names: what is uploaded, and what azure-ai-ml takes again."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from flowpack.assembly.flow_folder import FlowFolder, write_flow_folder
from flowpack.azureml.built_flow import standalone_folder
from flowpack.azureml.models.document import MODEL_FILE, ModelDocument
from flowpack.caches import cache_folder
from flowpack.errors import InputError, Location, OutsideError, shown_path
from flowpack.temporary import new_held_folder, remove_abandoned, removed_at_the_end
from flowpack.writing import make_folder, reason_of, replace_file


def model_place(document: ModelDocument, output: Path | None) -> Path:
    """The folder for ``model.yaml``: the output, or one of the cache for each model and content."""
    if output:
        return output
    key = hashlib.sha256(f"{document.name}\n{document.folder_name}".encode()).hexdigest()[:16]
    return cache_folder("models") / key


def check_apart_from(sources: Iterable[Path], output: Path) -> None:
    """Refuses an output that the next assembly of the flow would take for a part of it."""
    real = output.resolve()
    source = next((each for each in sources if real == each or each in real.parents), None)
    if source:
        raise InputError(
            f"the output folder is inside '{shown_path(source)}', a source of the flow",
            location=Location(output),
            hint="choose an --output beside it",
        )


def write_flow(folder: FlowFolder, place: Path, name: str) -> Path:
    """``place/name`` with exactly the standalone folder's files, as its name says which they are.

    It appears whole or not at all, and one that is there already is kept, as another process may be reading it.
    """
    if place.exists() and not place.is_dir():
        raise InputError("the output is not a folder", location=Location(place), hint="choose another --output")
    target = place / name
    if target.is_dir():
        if standalone_folder(folder.flow, target).digest == folder.digest:
            return target
        shutil.rmtree(target)
    make_folder(place)
    remove_abandoned(place, f".{name}.")
    try:
        with removed_at_the_end(new_held_folder(place, f".{name}.")) as beside:
            beside.path.chmod(0o755)
            write_flow_folder(folder, beside.path)
            beside.path.rename(target)
    except OSError as error:
        if not target.is_dir():
            raise OutsideError(f"cannot write here: {reason_of(error)}", location=Location(place)) from error
    return target


def write_document(document: ModelDocument, place: Path) -> Path:
    """Folders of earlier contents that lie beside it go away: nothing names them any more."""
    path = place / MODEL_FILE
    replace_file(path, document.text())
    for old in place.glob("flow-" + "[0-9a-f]" * 16):
        if old.name != document.folder_name:
            shutil.rmtree(old, ignore_errors=True)
    return path
