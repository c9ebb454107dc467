"""The nearest-neighbour index of one project's prompts: a cache beside the database, rebuilt from stored vectors."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from usearch.index import Index

from runtime.files import write_whole

NEIGHBOURS = 5


class Neighbours:
    """Vectors of one project by position, searched by cosine (usearch, int8)."""

    def __init__(self, dimensions: int) -> None:
        self._index = Index(ndim=dimensions, metric="cos", dtype="i8")

    def __len__(self) -> int:
        return len(self._index)

    def add(self, positions: list[int], vectors: npt.NDArray[np.float32]) -> None:
        """Add vectors, shape (len(positions), dimensions)."""
        if positions:
            self._index.add(np.asarray(positions, dtype=np.uint64), vectors)

    def nearest(self, vector: npt.NDArray[np.float32], threshold: float) -> list[tuple[int, float]]:
        """Return (position, cosine) of the closest prompts at or above the threshold, closest first."""
        if not len(self._index):
            return []
        found = self._index.search(vector, NEIGHBOURS)
        pairs = [(int(key), 1.0 - float(distance)) for key, distance in zip(found.keys, found.distances, strict=True)]
        return [(key, similarity) for key, similarity in pairs if similarity >= threshold]

    def save(self, folder: Path, project: str, model: str) -> None:
        """Write the index and its stamp; a reader never sees half of it."""
        folder.mkdir(parents=True, exist_ok=True)
        path = _path(folder, project)
        temporary = path.with_suffix(".tmp")
        self._index.save(str(temporary))
        os.replace(temporary, path)
        stamp = {"model": model, "project": project, "vectors": len(self._index)}
        write_whole(path.with_suffix(".json"), json.dumps(stamp).encode())

    @classmethod
    def load(cls, folder: Path, project: str, model: str, vectors: int, dimensions: int) -> Neighbours | None:
        """Return the saved index if its stamp names this model and this many vectors, else None."""
        path = _path(folder, project)
        try:
            stamp = json.loads(path.with_suffix(".json").read_text())
        except (OSError, ValueError):
            return None
        if stamp != {"model": model, "project": project, "vectors": vectors} or not path.exists():
            return None
        index = cls(dimensions)
        index._index.load(str(path))
        return index if len(index) == vectors else None


def _path(folder: Path, project: str) -> Path:
    return folder / f"{hashlib.sha256(project.encode()).hexdigest()[:16]}.usearch"
