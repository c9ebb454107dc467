"""Rows written as Parquet, the same rows as the same bytes."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from contract.dataset_folder import CONFIGS, LINEAGE, SPLITS, shard_name
from processor.datasets.rows import DataRow

_CHAT = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
# Messages that call tools, or answer a call: only where a config has any, so that others read as plain chats.
_TOOL_CHAT = pa.list_(pa.struct([
    ("role", pa.string()), ("content", pa.string()),
    ("tool_calls", pa.list_(pa.struct([
        ("id", pa.string()), ("type", pa.string()),
        ("function", pa.struct([("name", pa.string()), ("arguments", pa.string())])),
    ]))),
    ("name", pa.string()), ("tool_call_id", pa.string()),
]))  # fmt: skip
_SOURCE = [
    ("event_id", pa.string()),
    ("interaction_id", pa.string()),
    ("conversation_id", pa.string()),
    ("source", pa.string()),
]
SCHEMAS = {
    "preference": pa.schema([
        ("id", pa.string()), ("prompt", _CHAT), ("chosen", _CHAT), ("rejected", _CHAT), ("weight", pa.float64()),
        ("chosen_share", pa.float64()), ("chosen_model", pa.string()), ("rejected_model", pa.string()), *_SOURCE,
        ("kind", pa.string()),
        ("truncated_chosen", pa.bool_()), ("truncated_rejected", pa.bool_()), ("replay", pa.bool_()),
    ]),
    "unpaired": pa.schema([
        ("id", pa.string()), ("prompt", _CHAT), ("completion", _CHAT), ("label", pa.bool_()),
        ("weight", pa.float64()), ("label_share", pa.float64()), ("model", pa.string()), *_SOURCE,
        ("truncated", pa.bool_()), ("replay", pa.bool_()),
    ]),
    "demonstration": pa.schema([
        ("id", pa.string()), ("prompt", _CHAT), ("completion", _CHAT), ("weight", pa.float64()), *_SOURCE,
        ("replay", pa.bool_()),
    ]),
}  # fmt: skip
_LINEAGE_SCHEMA = pa.schema([
    ("id", pa.string()), ("event_id", pa.string()), ("interaction_id", pa.string()), ("config", pa.string()),
    ("split", pa.string()),
])  # fmt: skip


def write_files(rows: Iterable[DataRow], folder: Path) -> list[dict[str, Any]]:
    """Write data/<config>/<split>-00000-of-00001.parquet and lineage.parquet; return name, sha256, rows, bytes."""
    parts: dict[tuple[str, str], list[DataRow]] = defaultdict(list)
    every = list(rows)
    for row in every:
        parts[row.config, row.split].append(row)
    files = []
    with_tools = {row.config for row in every if row.uses_tools()}
    for config in CONFIGS:
        schema = _with_tools(SCHEMAS[config]) if config in with_tools else SCHEMAS[config]
        for split in SPLITS:
            if found := parts.get((config, split)):
                values = [_VALUES[config](row) for row in found]
                files.append(_write(folder, shard_name(config, split), pa.Table.from_pylist(values, schema)))
    lineage = [
        {
            "id": row.id, "event_id": row.event_id, "interaction_id": row.interaction_id, "config": row.config,
            "split": row.split,
        }
        for row in every
    ]  # fmt: skip
    files.append(_write(folder, LINEAGE, pa.Table.from_pylist(lineage, _LINEAGE_SCHEMA)))
    return files


def _with_tools(schema: pa.Schema) -> pa.Schema:
    return schema.set(schema.get_field_index("prompt"), pa.field("prompt", _TOOL_CHAT))


def _write(folder: Path, name: str, table: pa.Table) -> dict[str, Any]:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd", compression_level=3, row_group_size=50_000, version="2.6")
    raw = path.read_bytes()
    return {"name": name, "sha256": hashlib.sha256(raw).hexdigest(), "rows": table.num_rows, "bytes": len(raw)}


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def _source(row: DataRow) -> dict[str, Any]:
    return {
        "event_id": row.event_id, "interaction_id": row.interaction_id, "conversation_id": row.conversation_id,
        "source": row.source,
    }  # fmt: skip


def _preference(row: DataRow) -> dict[str, Any]:
    return {
        "id": row.id, "prompt": row.prompt(), "chosen": _said(row.chosen), "rejected": _said(row.rejected),
        "weight": row.weight_num / row.weight_den, "chosen_share": row.share, "chosen_model": row.chosen_model,
        "rejected_model": row.rejected_model, **_source(row), "kind": row.kind,
        "truncated_chosen": row.truncated_chosen, "truncated_rejected": row.truncated_rejected, "replay": row.replay,
    }  # fmt: skip


def _unpaired(row: DataRow) -> dict[str, Any]:
    return {
        "id": row.id, "prompt": row.prompt(), "completion": _said(row.chosen), "label": row.label,
        "weight": row.weight_num / row.weight_den, "label_share": row.share, "model": row.chosen_model, **_source(row),
        "truncated": row.truncated_chosen, "replay": row.replay,
    }  # fmt: skip


def _demonstration(row: DataRow) -> dict[str, Any]:
    return {
        "id": row.id, "prompt": row.prompt(), "completion": _said(row.chosen),
        "weight": row.weight_num / row.weight_den, **_source(row), "replay": row.replay,
    }  # fmt: skip


_VALUES: dict[str, Callable[[DataRow], dict[str, Any]]] = {
    "preference": _preference, "unpaired": _unpaired, "demonstration": _demonstration,
}  # fmt: skip
