"""The resources: Azure Resource Manager's documents by their identifiers, in memory or also in a folder."""

from __future__ import annotations

import copy
import json
import threading
from pathlib import Path
from typing import Any

Document = dict[str, Any]


class Store:
    """Whoever reads and then writes holds ``lock`` meanwhile. What goes in and comes out is a copy."""

    def __init__(self, folder: Path | None = None) -> None:
        self.lock = threading.RLock()
        self._documents: dict[str, Document] = {}
        self._folder = folder
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            read = [json.loads(file.read_text()) for file in folder.rglob("*.json")]
            for document in sorted(read, key=lambda one: one["systemData"]["createdAt"]):
                self._documents[document["id"]] = document

    def get(self, identifier: str) -> Document | None:
        with self.lock:
            return copy.deepcopy(self._documents.get(identifier))

    def put(self, document: Document) -> None:
        identifier = document["id"]
        with self.lock:
            self._documents[identifier] = copy.deepcopy(document)
            if self._folder:
                file = self._file(identifier)
                file.parent.mkdir(parents=True, exist_ok=True)
                unfinished = file.parent / f"{file.name}.new"
                unfinished.write_text(json.dumps(document, indent=1))
                unfinished.replace(file)

    def delete(self, identifier: str) -> None:
        with self.lock:
            self._documents.pop(identifier, None)
            if self._folder:
                self._file(identifier).unlink(missing_ok=True)

    def clear(self) -> None:
        with self.lock:
            for identifier in list(self._documents):
                self.delete(identifier)

    def children(self, collection: str) -> list[Document]:
        """The documents right under an identifier such as ``…/models``, the first made first."""
        with self.lock:
            return [
                copy.deepcopy(one)
                for identifier, one in self._documents.items()
                if identifier.startswith(f"{collection}/") and "/" not in identifier[len(collection) + 1 :]
            ]

    def containing(self, part: str) -> list[Document]:
        """The documents with this in their identifiers."""
        with self.lock:
            return [copy.deepcopy(one) for identifier, one in self._documents.items() if part in identifier]

    def as_value(self) -> dict[str, Document]:
        with self.lock:
            return copy.deepcopy(self._documents)

    def _file(self, identifier: str) -> Path:
        assert self._folder
        return self._folder / f"{identifier.lstrip('/')}.json"
