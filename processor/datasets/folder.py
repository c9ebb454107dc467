"""Dataset folders on disk: where they are, what they hold, how two differ."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from contract.dataset_folder import LINEAGE, is_dataset, read_manifest
from contract.errors import ThumbwheelError
from contract.ids import is_project_name
from runtime.settings import Settings

_DATASET_ID = re.compile(r"ds-[0-9a-f]{12}\Z")


def project_folder(settings: Settings, project: str) -> Path:
    """Return the folder of a project's datasets; raise ThumbwheelError for a name that is none."""
    if not is_project_name(project):
        raise ThumbwheelError("invalid_project", f"{project!r} is not a project name.", "Use letters, digits, - and _.")
    return settings.home / "datasets" / project


def dataset_folder(settings: Settings, project: str, dataset_id: str) -> Path:
    """Return the folder of one dataset; raise ThumbwheelError (404) when there is none."""
    folder = project_folder(settings, project) / dataset_id
    if not _DATASET_ID.match(dataset_id) or not is_dataset(folder):
        raise ThumbwheelError(
            "unknown_dataset", f"Project {project} has no dataset {dataset_id!r}.", "List them first.", status=404
        )
    return folder


def show_dataset(settings: Settings, project: str, dataset_id: str) -> dict[str, Any]:
    """Return a dataset's manifest, with its folder."""
    folder = dataset_folder(settings, project, dataset_id)
    return read_manifest(folder) | {"folder": str(folder)}


def diff_datasets(settings: Settings, project: str, left: str, right: str) -> dict[str, Any]:
    """Return what changed from one dataset to another: counts, rows added and removed, rows that moved split."""
    folders = [dataset_folder(settings, project, dataset_id) for dataset_id in (left, right)]
    manifests = [read_manifest(folder) for folder in folders]
    before, after = (_lineage(folder) for folder in folders)
    shared = before.keys() & after.keys()
    filters = {
        name: {"left": manifests[0]["filters"].get(name), "right": manifests[1]["filters"].get(name)}
        for name in sorted(manifests[0]["filters"].keys() | manifests[1]["filters"].keys())
        if manifests[0]["filters"].get(name) != manifests[1]["filters"].get(name)
    }
    return {
        "left": left, "right": right,
        "counts": {"left": manifests[0]["counts"], "right": manifests[1]["counts"]},
        "added": sorted(after.keys() - before.keys()), "removed": sorted(before.keys() - after.keys()),
        "moved": sorted(row for row in shared if before[row] != after[row]), "kept": len(shared), "filters": filters,
    }  # fmt: skip


def _lineage(folder: Path) -> dict[str, str]:
    table = pq.read_table(folder / LINEAGE, columns=["id", "split"])
    return dict(zip(table["id"].to_pylist(), table["split"].to_pylist(), strict=True))
