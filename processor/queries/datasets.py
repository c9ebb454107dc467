"""Dataset folders: their manifests, their files, and which feedback went into which."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from contract.dataset_folder import CARD, CARD_IN_CHINESE, LINEAGE, MANIFEST, is_dataset, read_manifest
from processor.queries.reading import NotFound, Row, rows

_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")
_USES_OF_EVENTS = """
SELECT filename, count(*) AS n FROM read_parquet($paths, filename = true)
WHERE list_contains($event_ids, event_id) GROUP BY filename
"""
_HOLDING = """
SELECT filename, count(*) AS n FROM read_parquet($paths, filename = true) WHERE id = $id GROUP BY filename
"""
_EVENTS_OF_DATASET = """
SELECT event_id, count(*) AS n FROM read_parquet($path) WHERE event_id IS NOT NULL GROUP BY event_id ORDER BY event_id
"""


class Datasets:
    """The dataset folders of one project."""

    def __init__(self, home: Path, project: str) -> None:
        safe = bool(_NAME.match(project)) and project not in (".", "..")
        self._root = home / "datasets" / project if safe else None

    def folders(self) -> list[Path]:
        """Return the finished folders: those with a manifest."""
        if self._root is None or not self._root.is_dir():
            return []
        return sorted(path.parent for path in self._root.glob(f"*/{MANIFEST}") if not path.parent.name.startswith("."))

    def folder(self, dataset_id: str) -> Path:
        """Return one folder; raise NotFound."""
        if self._root is not None and _NAME.match(dataset_id) and dataset_id not in (".", ".."):
            folder = self._root / dataset_id
            if is_dataset(folder):
                return folder
        raise NotFound("unknown_dataset", f"No dataset {dataset_id!r}.", "See the list of datasets.")

    def manifest(self, dataset_id: str) -> Row:
        """Return the manifest of one dataset; raise NotFound."""
        return read_manifest(self.folder(dataset_id))

    def manifests(self) -> list[Row]:
        """Return every manifest, newest first, without its long lists."""
        found = [(folder.stat().st_mtime_ns, read_manifest(folder)) for folder in self.folders()]
        found.sort(key=lambda item: (item[0], item[1]["dataset_id"]), reverse=True)
        return [
            {**{k: v for k, v in manifest.items() if k != "prompt_groups"}, "rows": row_counts(manifest)}
            for _, manifest in found
        ]

    def file(self, dataset_id: str, name: str) -> Path:
        """Return the path of a file the manifest lists, of the manifest, or of a card; raise NotFound."""
        folder = self.folder(dataset_id)
        known = {entry["name"] for entry in read_manifest(folder).get("files", [])}
        known |= {MANIFEST, CARD, CARD_IN_CHINESE, LINEAGE}
        path = (folder / name).resolve()
        if name not in known or not path.is_relative_to(folder.resolve()) or not path.is_file():
            raise NotFound("unknown_file", f"{dataset_id} has no file {name!r}.", "See `files` of the manifest.")
        return path

    def cards(self, dataset_id: str) -> list[str]:
        """Return the names of the cards that the folder holds; one of an earlier release has the English one only."""
        folder = self.folder(dataset_id)
        return [name for name in (CARD, CARD_IN_CHINESE) if (folder / name).is_file()]

    def prompt_groups(self, dataset_id: str) -> frozenset[str] | None:
        """Return the prompt groups a dataset trains or validates on, or None when its folder is gone."""
        try:
            return frozenset(self.manifest(dataset_id).get("prompt_groups", ()))
        except NotFound:
            return None

    def uses_of(self, cursor: duckdb.DuckDBPyConnection, event_ids: Sequence[str]) -> dict[str, int]:
        """Return how many rows of which dataset came from these events."""
        paths = [str(path) for folder in self.folders() if (path := folder / LINEAGE).is_file()]
        if not paths or not event_ids:
            return {}
        found = rows(cursor, _USES_OF_EVENTS, {"paths": paths, "event_ids": list(event_ids)})
        return {Path(row["filename"]).parent.name: row["n"] for row in found}

    def holding(self, cursor: duckdb.DuckDBPyConnection, row_id: str) -> dict[str, int]:
        """Return the datasets that hold a row, each with how often (1)."""
        paths = [str(path) for folder in self.folders() if (path := folder / LINEAGE).is_file()]
        found = rows(cursor, _HOLDING, {"paths": paths, "id": row_id}) if paths else []
        return {Path(row["filename"]).parent.name: row["n"] for row in found}

    def events_of(self, cursor: duckdb.DuckDBPyConnection, dataset_id: str) -> list[str]:
        """Return the feedback events a dataset was made from; none when its folder is gone."""
        try:
            path = self.folder(dataset_id) / LINEAGE
        except NotFound:
            return []
        if not path.is_file():
            return []
        return [row["event_id"] for row in rows(cursor, _EVENTS_OF_DATASET, {"path": str(path)})]


def row_counts(manifest: Row) -> int:
    """Return how many rows a dataset has over all configurations and splits."""
    counts: dict[str, Any] = manifest.get("counts", {})
    return sum(n for splits in counts.values() if isinstance(splits, dict) for n in splits.values())
