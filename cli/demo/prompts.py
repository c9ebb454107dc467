"""The prompts of the demo, split once by a stable hash: three quarters to train on, a quarter to evaluate on."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from pathlib import Path

from contract.errors import ThumbwheelError

SHIPPED = Path(__file__).with_name("prompts.json")


@dataclass(frozen=True)
class Prompts:
    """Prompts to train on and prompts to evaluate on; the second never train, in any turn."""

    train: tuple[str, ...]
    evaluation: tuple[str, ...]

    def sample(self, part: str, count: int, seed: str) -> list[str]:
        """Return `count` prompts of a part, in an order that depends on `seed` only."""
        pool = list(self.train if part == "train" else self.evaluation)
        random.Random(seed).shuffle(pool)
        return pool[:count]


def is_evaluation(prompt: str) -> bool:
    """Say whether a prompt lies in the quarter to evaluate on: a property of its text alone."""
    return hashlib.blake2b(prompt.encode(), digest_size=8).digest()[0] < 64


def load_prompts(path: Path | None, train: int, evaluation: int) -> Prompts:
    """Read a JSON list of strings, or one prompt a line; raises ThumbwheelError when it is too small.

    train, evaluation: how many of each part one turn needs.
    """
    prompts = list(dict.fromkeys(text.strip() for text in _read(path or SHIPPED) if text.strip()))
    parts = Prompts(tuple(p for p in prompts if not is_evaluation(p)), tuple(p for p in prompts if is_evaluation(p)))
    if len(parts.train) < train or len(parts.evaluation) < evaluation:
        needed = max(-(-train * 4 // 3), evaluation * 4)
        raise ThumbwheelError(
            "too_few_prompts",
            f"{path or 'The file'} has {len(parts.train)} prompts to train on and {len(parts.evaluation)} to "
            f"evaluate on; {train} and {evaluation} are needed.",
            f"Give some {needed + needed // 10} different prompts, or fewer --interactions.",
        )  # fmt: skip
    return parts


def _read(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ThumbwheelError("no_prompts", f"{path} cannot be read: {error}", "Give a UTF-8 file.") from error
    if not text.lstrip().startswith("["):
        return text.splitlines()
    try:
        body = json.loads(text)
    except ValueError as error:
        raise ThumbwheelError("no_prompts", f"{path} is not valid JSON: {error}", "Give a list of strings.") from error
    if not all(isinstance(item, str) for item in body):
        raise ThumbwheelError("no_prompts", f"{path} holds something that is no text.", "Give a list of strings.")
    return list(body)
