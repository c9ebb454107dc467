"""In: the path of a dataset folder. Out: its manifest and where its rows lie: what is written there and read later.

manifest.json                           what it is: id, digest, filters, counts, files; a folder without it is unfinished
README.md, README.zh-CN.md              the card, in English and in Chinese (earlier releases: English only)
lineage.parquet                         which event each row came from
data/CONFIG/SPLIT-00000-of-00001.parquet    the rows
"""  # noqa: E501

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contract.errors import ThumbwheelError

MANIFEST = "manifest.json"
CARD = "README.md"
CARD_IN_CHINESE = "README.zh-CN.md"
LINEAGE = "lineage.parquet"
CONFIGS = ("preference", "unpaired", "demonstration")
SPLITS = ("train", "validation", "test")


def is_dataset(folder: Path) -> bool:
    """Say whether a folder is a finished dataset."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a folder's manifest; raises ThumbwheelError `bad_dataset` where there is none that can be read."""
    try:
        found = json.loads((folder / MANIFEST).read_text("utf-8"))
        if isinstance(found, dict):
            return found
        problem = "it is no JSON object"
    except FileNotFoundError as error:
        raise ThumbwheelError(
            "bad_dataset",
            f"{folder} is not a dataset folder.",
            f"It needs {MANIFEST}; build one: thumbwheel dataset build.",
        ) from error  # fmt: skip
    except (OSError, ValueError) as error:
        problem = str(error)
    raise ThumbwheelError(
        "bad_dataset", f"{folder / MANIFEST} cannot be read: {problem}.", "Build the dataset again, or restore it."
    )


def shards(folder: Path, config: str, split: str) -> Iterator[Path]:
    """Yield the Parquet files of one split, in order; none where it has no rows."""
    yield from sorted((folder / "data" / config).glob(f"{split}-*.parquet"))


def shard_name(config: str, split: str) -> str:
    """Return the name, within the folder, of the one file a split is written to."""
    return f"data/{config}/{split}-00000-of-00001.parquet"
