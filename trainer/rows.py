"""Rows of a dataset folder, ready for a trainer.

In: `data/{preference,unpaired,demonstration}/{train,validation}-*.parquet` of an immutable dataset folder.
Out: frozen rows. Nulls that Parquet puts into nested columns are taken out, because chat templates read a key that
is present and null as content.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow.parquet as pq

from contract.dataset_folder import CONFIGS, SPLITS, read_manifest, shards
from contract.errors import ThumbwheelError
from inference.messages import Messages

# Why a row is dropped whose messages the base's chat template takes in no form.
REFUSED = "refused_by_template"
# Why a row is left out by the draw that stands in for a weight.
LIGHTER = "drawn_by_weight"
T = TypeVar("T")


class Weighted(Protocol):
    """A row with a weight."""

    @property
    def weight(self) -> float: ...


W = TypeVar("W", bound=Weighted)


@dataclass(frozen=True)
class Pair:
    """One preference: `chosen` over `rejected`, each one assistant message, for `prompt`."""

    row_id: str
    group: str
    prompt: Messages
    chosen: Messages
    rejected: Messages
    weight: float = 1.0
    chosen_cut: bool = False
    rejected_cut: bool = False
    source: str = ""


@dataclass(frozen=True)
class Rated:
    """One reply with a thumb: `label` is true for a thumb up."""

    row_id: str
    group: str
    prompt: Messages
    completion: Messages
    label: bool
    weight: float = 1.0
    cut: bool = False
    source: str = ""


@dataclass(frozen=True)
class Demonstration:
    """One reply a person wrote or corrected."""

    row_id: str
    group: str
    prompt: Messages
    completion: Messages
    weight: float = 1.0
    cut: bool = False
    source: str = ""


@dataclass(frozen=True)
class DatasetFolder:
    """An opened dataset folder: its manifest and the rows by config and split."""

    path: Path
    manifest: dict[str, Any]
    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def dataset_id(self) -> str:
        """Return the dataset's id."""
        return str(self.manifest.get("dataset_id") or self.path.name)

    def count(self, config: str) -> int:
        """Return how many rows of a config there are to train on."""
        return self.counts.get(config, {}).get("train", 0)

    def table(self, config: str, split: str) -> list[dict[str, Any]]:
        """Return the raw rows of one split as dictionaries, [] where there are none."""
        rows: list[dict[str, Any]] = []
        for file in shards(self.path, config, split):
            rows.extend(pq.read_table(file).to_pylist())
        return rows

    def pairs(self, split: str) -> list[Pair]:
        """Return the preference rows of a split."""
        return [_pair(row) for row in self.table("preference", split)]

    def rated(self, split: str) -> list[Rated]:
        """Return the unpaired rows of a split."""
        return [
            Rated(
                str(row["id"]), _group(row), _messages(row["prompt"]), _messages(row["completion"]),
                bool(row["label"]), _weight(row), bool(row.get("truncated") or False), _source(row),
            )
            for row in self.table("unpaired", split)
        ]  # fmt: skip

    def demonstrations(self, split: str) -> list[Demonstration]:
        """Return the demonstration rows of a split."""
        return [
            Demonstration(
                str(row["id"]), _group(row), _messages(row["prompt"]), _messages(row["completion"]),
                _weight(row), bool(row.get("truncated") or False), _source(row),
            )
            for row in self.table("demonstration", split)
        ]  # fmt: skip


def open_dataset(path: Path) -> DatasetFolder:
    """Open a dataset folder; raises ThumbwheelError `bad_dataset` when it is not one."""
    manifest = read_manifest(path)
    try:
        counts = {
            config: {split: sum(pq.read_metadata(f).num_rows for f in shards(path, config, split)) for split in SPLITS}
            for config in CONFIGS
        }
    except (OSError, ValueError) as error:
        raise ThumbwheelError(
            "bad_dataset", f"The dataset {path.name} cannot be read: {error}", "Build it again."
        ) from error
    return DatasetFolder(path, manifest, counts)


def spread(
    rows: Sequence[T], group: Callable[[T], Hashable], batch: int, rng: random.Random,
    kind: Callable[[T], Hashable] = lambda row: None,
) -> list[T]:  # fmt: skip
    """Return the rows in an order whose blocks of `batch` hold no two rows of one group, kinds evenly mixed.

    Blocks of `batch` rows are what a sequential sampler makes batches of. Rows of large groups are dealt first, each to
    the block with the fewest rows of its kind that has none of its group. Only a group with more rows than there are
    blocks must meet itself.
    """
    blocks = _empty_blocks(len(rows), batch)
    members: dict[Hashable, list[T]] = {}
    for row in rng.sample(list(rows), len(rows)):
        members.setdefault(group(row), []).append(row)
    free = list(range(len(blocks)))
    for name in sorted(members, key=lambda name: -len(members[name])):
        for row in members[name]:
            block = _best_block(blocks, free, name, kind(row), rng)
            block.add(row, name, kind(row))
            free = [b for b in free if blocks[b].room] if not block.room else free
    full, rest = blocks[:-1], blocks[-1:]
    rng.shuffle(full)
    return [row for block in full + rest for row in rng.sample(block.rows, len(block.rows))]


class _Block:
    """One batch being filled."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.rows: list[Any] = []
        self.groups: set[Hashable] = set()
        self.kinds: dict[Hashable, int] = {}

    def add(self, row: Any, group: Hashable, kind: Hashable) -> None:
        self.room -= 1
        self.rows.append(row)
        self.groups.add(group)
        self.kinds[kind] = self.kinds.get(kind, 0) + 1


def _empty_blocks(rows: int, batch: int) -> list[_Block]:
    count = -(-rows // batch)
    return [_Block(min(batch, rows - b * batch)) for b in range(count)]


def _best_block(blocks: list[_Block], free: list[int], group: Hashable, kind: Hashable, rng: random.Random) -> _Block:
    # A sample of 64 keeps the deal linear in the rows; all free blocks are looked at only when the sample has none.
    seen = free if len(free) <= 64 else rng.sample(free, 64)
    for candidates in (seen, free):
        fit = [b for b in candidates if group not in blocks[b].groups]
        if fit:
            return blocks[min(fit, key=lambda b: (blocks[b].kinds.get(kind, 0), -blocks[b].room, rng.random()))]
    return blocks[max(free, key=lambda b: blocks[b].room)]


def sample_by_weight(rows: Sequence[W], rng: random.Random) -> list[W]:
    """Return each row with probability weight / largest weight: the same expectation as weighting its loss.

    For trainers whose loss knows no weight per row (TRL's SFT and KTO). Rows of weight 0 never train.
    """
    largest = max((row.weight for row in rows), default=0.0)
    return [row for row in rows if row.weight > 0 and rng.random() * largest < row.weight]


class NothingLeft(ThumbwheelError):
    """No row is left to train on once they are tokenised; `dropped` counts why."""

    def __init__(self, code: str, message: str, hint: str, *, dropped: Mapping[str, int]) -> None:
        super().__init__(code, message, hint)
        self.dropped = dropped


def counted(dropped: Mapping[str, int]) -> dict[str, int]:
    """Return the reasons for which any row was dropped, with the number of rows."""
    return {reason: n for reason, n in dropped.items() if n}


def prompt_key(prompt: Messages) -> str:
    """Return what makes two prompts one prompt: their messages as JSON."""
    return json.dumps(prompt, sort_keys=True, ensure_ascii=False)


def _pair(row: dict[str, Any]) -> Pair:
    return Pair(
        str(row["id"]), _group(row), _messages(row["prompt"]), _messages(row["chosen"]), _messages(row["rejected"]),
        _weight(row), bool(row.get("truncated_chosen") or False), bool(row.get("truncated_rejected") or False),
        _source(row),
    )  # fmt: skip


def _group(row: dict[str, Any]) -> str:
    return prompt_key(_messages(row["prompt"]))


def _source(row: dict[str, Any]) -> str:
    return str(row.get("source") or "")


def _weight(row: dict[str, Any]) -> float:
    weight = row.get("weight")
    return 1.0 if weight is None else float(weight)


def _messages(value: Any) -> Messages:
    return [_without_nulls(message) for message in value or []]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(part) for name, part in value.items() if part is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value
