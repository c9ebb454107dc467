"""Rows for a hosted job: a dataset folder in; a JSONL file in OpenAI's forms, what was left out, and its size, out.

Supervised: {"messages": [..., {assistant}]}. DPO: {"input": {"messages": [...]}, "preferred_output": [{assistant}],
"non_preferred_output": [{assistant}]}. There is no weight per row, so rows are drawn by weight; a reply that was cut at
the token limit would teach to stop in the middle of a sentence, so it is left out.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.errors import ThumbwheelError
from trainer.guarding.replies import words
from trainer.hosted.openai_wire import Form
from trainer.methods import AUTO
from trainer.rows import DatasetFolder, Demonstration, Pair, sample_by_weight

# Subwords a word: a rough figure for the price, never more than an order of magnitude off.
TOKENS_A_WORD = 1.5


@dataclass(frozen=True)
class Packed:
    """A file of rows: how many, about how many tokens one pass over them takes, and what was left out by reason."""

    file: Path
    method: str
    rows: int
    tokens: int
    dropped: dict[str, int]


def pack(dataset: DatasetFolder, method: str, seed: int, file: Path, form: Form) -> Packed:
    """Write a dataset's rows for a method, `auto` for pairs where there are enough. Raises ThumbwheelError."""
    chosen = _method(dataset, method, form)
    given: Sequence[Pair | Demonstration]
    given = dataset.pairs("train") if chosen == "dpo" else dataset.demonstrations("train")
    drawn: list[Pair | Demonstration] = sample_by_weight(given, random.Random(seed))
    whole = [row for row in drawn if not _is_cut(row)]
    dropped = {"not_drawn_by_weight": len(given) - len(drawn), "cut_reply": len(drawn) - len(whole)}
    lines = [json.dumps(_row(row), ensure_ascii=False) for row in whole]
    if len(lines) < form.min_rows:
        raise ThumbwheelError(
            "too_few_rows", f"A hosted job takes at least {form.min_rows} rows; there are {len(lines)} for {chosen}.",
            "Collect more feedback, or train here.",
        )  # fmt: skip
    body = "".join(line + "\n" for line in lines).encode()
    if len(body) > form.max_bytes:
        raise ThumbwheelError(
            "too_many_bytes", f"The file would have {len(body)} bytes, a hosted job takes {form.max_bytes}.",
            "Build a dataset with --max-rows.",
        )  # fmt: skip
    file.write_bytes(body)
    tokens = round(TOKENS_A_WORD * sum(len(words(line)) for line in lines))
    return Packed(file, chosen, len(lines), tokens, {reason: n for reason, n in dropped.items() if n})


def _method(dataset: DatasetFolder, method: str, form: Form) -> str:
    if method == AUTO:
        return "dpo" if "dpo" in form.methods and dataset.count("preference") >= form.min_rows else "sft"
    if method not in form.methods:
        raise ThumbwheelError(
            "bad_setting", f"A hosted job there cannot train {method}.", f"Use {' or '.join(form.methods)}.", "method"
        )
    return method


def _is_cut(row: Pair | Demonstration) -> bool:
    return row.chosen_cut if isinstance(row, Pair) else row.cut


def _row(row: Pair | Demonstration) -> dict[str, Any]:
    if isinstance(row, Demonstration):
        return {"messages": [*row.prompt, *row.completion]}
    return {
        "input": {"messages": list(row.prompt)}, "preferred_output": list(row.chosen),
        "non_preferred_output": list(row.rejected),
    }  # fmt: skip
