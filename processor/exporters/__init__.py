"""Datasets written in formats other tools read.

    report = export_dataset(folder, "sharegpt", Path("out"))

A row a format cannot hold is counted under its reason, never dropped silently.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from contract.errors import ThumbwheelError
from processor.exporters.shapes import DATASET_INFO, WRITERS, Refused
from runtime.files import write_whole


@dataclass
class ExportReport:
    """Counts of rows; `refused` by reason, `files` as written, `lost` names columns the format has no place for."""

    rows: int = 0
    written: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


FORMATS = tuple(WRITERS)
_KEPT = {"prompt", "chosen", "rejected", "completion", "label", "messages"}


def export_dataset(folder: Path, format: str, out: Path) -> ExportReport:
    """Write a dataset folder's rows under `out`, a file for each configuration and split.

    `trl` and `openai` write JSON lines, `sharegpt` JSON arrays with the `dataset_info.json` of LLaMA-Factory.
    Raises ThumbwheelError for an unknown format or a folder that is no dataset.
    """
    if format not in WRITERS:
        raise ThumbwheelError("unknown_format", f"Unknown format {format!r}.", f"Use one of: {', '.join(FORMATS)}.")
    files = sorted((folder / "data").glob("*/*.parquet"))
    if not files:
        raise ThumbwheelError("no_dataset", f"{folder} holds no dataset.", "Name the folder of a dataset.", status=404)
    report = ExportReport()
    out.mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = {}
    for path in files:
        config, split = path.parent.name, path.name.split("-")[0]
        report.lost = sorted({*report.lost, *(set(pq.read_schema(path).names) - _KEPT)})
        name = f"{config}-{split}.{'json' if format == 'sharegpt' else 'jsonl'}"
        if _write(out / name, _rows(path), WRITERS[format][config], format == "sharegpt", report):
            report.files.append(name)
            about[f"{config}_{split}"] = {"file_name": name, **DATASET_INFO[config]}
    if format == "sharegpt":
        write_whole(out / "dataset_info.json", (json.dumps(about, indent=1) + "\n").encode())
        report.files.append("dataset_info.json")
    return report


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    for batch in pq.ParquetFile(path).iter_batches(batch_size=1000):
        yield from batch.to_pylist()


def _write(
    path: Path, rows: Iterator[dict[str, Any]], write: Callable[[dict[str, Any]], dict[str, Any]], array: bool,
    report: ExportReport,
) -> int:  # fmt: skip
    """Write one file and return its rows; no file is left when the format holds none of them."""
    written = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            report.rows += 1
            try:
                line = json.dumps(write(row), ensure_ascii=False)
            except Refused as refused:
                report.refused[str(refused)] = report.refused.get(str(refused), 0) + 1
                continue
            file.write(("[\n" if array and not written else ",\n" if array else "") + line + ("" if array else "\n"))
            written += 1
        file.write("\n]\n" if array and written else "")
    if not written:
        path.unlink()
    report.written += written
    return written


__all__ = ["FORMATS", "ExportReport", "export_dataset"]
