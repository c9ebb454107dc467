"""Build one dataset folder from the tables, atomically, and tell the log."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contract.dataset_folder import CARD, CARD_IN_CHINESE, LINEAGE, MANIFEST, is_dataset, read_manifest
from contract.envelope import Actor
from contract.errors import ThumbwheelError
from contract.events import stamp
from contract.facts import DatasetBuilt
from contract.ids import derived_id
from eventlog.log import Log, append_all
from processor.datasets.caps import cap
from processor.datasets.card import render, render_in_chinese, shortcuts
from processor.datasets.filters import Filters, parse_filters
from processor.datasets.folder import project_folder
from processor.datasets.parquet import write_files
from processor.datasets.rows import Candidates, DataRow, select_rows
from processor.datasets.splits import check_leaks, split_rows
from processor.history.replay import wanted_meta
from processor.tables.store import Store
from runtime.settings import Settings

_OFFSETS = 'SELECT topic, "partition", next_offset FROM offsets ORDER BY topic, "partition"'


def build_dataset(
    store: Store, log: Log, settings: Settings, project: str, filters: Mapping[str, Any] | Filters,
    behind: Sequence[int] = (),
) -> dict[str, Any]:  # fmt: skip
    """Write the folder (or find it: same rows, same filters, same id), append `dataset.built`, return the manifest.

    `behind`: partitions the tables lag behind in, which the manifest and the card name.
    Raises ThumbwheelError: 400 for wrong filters, 409 when nothing trainable is left.
    """
    wanted = parse_filters(filters)
    parent_folder = project_folder(settings, project)
    with store.read() as cursor:
        candidates = select_rows(cursor, project, wanted)
        offsets: dict[str, dict[str, int]] = {}
        for topic, partition, next_offset in cursor.execute(_OFFSETS).fetchall():
            offsets.setdefault(topic, {})[str(partition)] = next_offset
    rows = _chosen(candidates, wanted)
    meta = wanted_meta(settings)
    parent_folder.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=parent_folder))
    try:
        files = write_files(rows, building)
        manifest = _manifest(project, wanted, rows, candidates.dropped, files, offsets, meta)
        manifest["behind"] = list(behind)
        (building / CARD).write_text(render(manifest), "utf-8")
        (building / CARD_IN_CHINESE).write_text(render_in_chinese(manifest), "utf-8")
        del manifest["filters_text"]
        (building / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", "utf-8")
        manifest = _publish(building, parent_folder / manifest["dataset_id"])
    finally:
        shutil.rmtree(building, ignore_errors=True)
    _append_fact(log, project, manifest)
    return manifest


def _chosen(candidates: Candidates, filters: Filters) -> list[DataRow]:
    capped = cap(candidates.rows, filters, candidates.dropped)
    rows = split_rows(capped, filters.split, filters.salt, candidates.near, candidates.dropped)
    if not any(row.split == "train" for row in rows):
        reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(candidates.dropped.items()) if n)
        raise ThumbwheelError(
            "nothing_trainable", "No row is left to train on.",
            f"Left out: {reasons}." if reasons else "Collect picks, thumbs or edits first.", status=409,
        )  # fmt: skip
    check_leaks(rows, candidates.near)
    return rows


def _manifest(
    project: str, filters: Filters, rows: Sequence[DataRow], dropped: Counter[str], files: list[dict[str, Any]],
    offsets: dict[str, dict[str, int]], meta: dict[str, str],
) -> dict[str, Any]:  # fmt: skip
    given = filters.as_dict()
    identity = {"project": project, "filters": given, "files": [(f["name"], f["sha256"]) for f in files], **meta}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return {
        "dataset_id": f"ds-{digest[:12]}",
        "project": project,
        "digest": digest,
        "parent": filters.parent,
        "created_from": offsets,
        **meta,
        "filters": given,
        "filters_text": json.dumps(given, indent=1, ensure_ascii=False),
        "counts": _counts(rows),
        "dropped": {reason: n for reason, n in sorted(dropped.items()) if n},
        "replay_rows": sum(row.replay for row in rows),
        "control_text_rows": sum(row.holds_control_text() for row in rows),
        "shortcuts": shortcuts(rows),
        "files": files,
        "event_ids": LINEAGE,
        "prompt_groups": _prompt_groups(rows),
    }


def _counts(rows: Sequence[DataRow]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    found = Counter((row.config, row.split) for row in rows)
    for config in ("preference", "unpaired", "demonstration"):
        splits = {s: found[config, s] for s in ("train", "validation", "test") if found[config, s]}
        if splits:
            counts[config] = splits
    return counts


def _prompt_groups(rows: Sequence[DataRow]) -> list[str]:
    """Return what a blind test must not contain: prompts (hash, hex) and conversations of train and validation."""
    groups: set[str] = set()
    for row in rows:
        if row.split != "test":
            groups.add(row.prompt_hash)
            if row.conversation_id is not None:
                groups.add(f"conversation:{row.conversation_id}")
    return sorted(groups)


def _publish(building: Path, target: Path) -> dict[str, Any]:
    """Move the finished folder to its name; a folder of that name holds the same rows and stays."""
    for path in sorted(building.rglob("*")):
        if path.is_file():
            with path.open("rb") as written:
                os.fsync(written.fileno())
    try:
        os.rename(building, target)
    except OSError:
        if not is_dataset(target):
            raise
    return read_manifest(target)


def _append_fact(log: Log, project: str, manifest: dict[str, Any]) -> None:
    dataset_id = manifest["dataset_id"]
    fact = DatasetBuilt(
        event_id=str(derived_id(project, dataset_id, "dataset.built")), occurred_at=datetime.now(UTC),
        actor=Actor(id="builder", kind="system"), dataset_id=dataset_id, digest=manifest["digest"],
        offsets=manifest["created_from"], parent=manifest["parent"], counts=manifest["counts"],
    )  # fmt: skip
    append_all(log, [stamp(fact, project=project, key_id="builder", via="console")])
