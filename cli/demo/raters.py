"""Raters: functions `rate(messages, replies, rng)` that see text only and say which reply they prefer.

Each preset scores every reply, takes the best, calls equal best scores a tie, and picks at random one time in ten,
as people do. `bench/raters.py` prints on how many prompts the best and the worst of the base's replies differ.
"""

from __future__ import annotations

import importlib
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contract.errors import ThumbwheelError

Rating = dict[str, Any]
Rater = Callable[[Sequence[Mapping[str, Any]], Sequence[str], random.Random], Rating]
RANDOM_SHARE = 0.1
EDIT_SHARE = 0.08
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)")
_COURTESIES = tuple(re.compile(pattern, re.IGNORECASE) for pattern in (
    r"\bplease\b", r"\bthank", r"\bsorry\b|\bapolog", r"\bhappy to\b|\bglad\b|\bpleasure\b", r"\bappreciate\b",
    r"\bwelcome\b", r"\bunderstand\b", r"\blet (me|us) know\b|\bfeel free\b", r"\bhelp you\b|\bassist you\b",
))  # fmt: skip
_DODGES = tuple(re.compile(pattern, re.IGNORECASE) for pattern in (
    r"\bas an? (ai|chatbot|language model|digital)", r"\bi('m| am) (sorry|unable|not able|an ai|a chatbot)",
    r"\bi (can't|cannot|don't have|do not have)\b", r"\bsmollm\b", r"\bhugging ?face\b",
))  # fmt: skip


def finished(text: str) -> bool:
    """Say whether a reply ends its last sentence."""
    return text.rstrip().endswith((".", "!", "?", '."', ".)"))


def concise(text: str) -> float:
    """Score short, finished replies: unfinished ones last, then stumps; beyond 20 words each three cost a point."""
    words = len(text.split())
    if words < 12:
        return -20.0
    return (0.0 if finished(text) else -50.0) - max(0, words - 20) // 3


def polite(text: str) -> float:
    """Score courtesy: how many different kinds of polite phrases a reply holds, up to four."""
    return float(min(4, sum(bool(pattern.search(text)) for pattern in _COURTESIES)))


def direct(text: str) -> float:
    """Score replies that get to the point: each kind of dodge costs a point, an unfinished reply half a one."""
    return -float(sum(bool(pattern.search(text)) for pattern in _DODGES)) - (0.0 if finished(text) else 0.5)


PRESETS: dict[str, Callable[[str], float]] = {"concise": concise, "polite": polite, "direct": direct}


def from_score(score: Callable[[str], float]) -> Rater:
    """Return the rater that prefers higher scores, with a tenth of its picks at random and some edits."""

    def rate(messages: Sequence[Mapping[str, Any]], replies: Sequence[str], rng: random.Random) -> Rating:
        if rng.random() < RANDOM_SHARE:
            return {"outcome": "chosen", "chosen": rng.randrange(len(replies))}
        scores = [score(reply) for reply in replies]
        best = [index for index, value in enumerate(scores) if value == max(scores)]
        if len(best) > 1:
            return {"outcome": "tie", "chosen": None}
        rating: Rating = {"outcome": "chosen", "chosen": best[0]}
        edited = _tidied(replies[best[0]])
        if edited and rng.random() < EDIT_SHARE:
            rating["edited_text"] = edited
        return rating

    return rate


@dataclass(frozen=True)
class Person:
    """A simulated rater: the actor they vote as, and how they rate."""

    actor: dict[str, str]
    rate: Rater


def find_people(name: str, count: int, contrary: int) -> list[Person]:
    """Return `count` raters of one taste, the last `contrary` of them preferring what the others like least.

    Raises ThumbwheelError `unknown_rater`, also where a function of one's own is asked to be contrary.
    """
    if contrary and name not in PRESETS:
        raise ThumbwheelError(
            "unknown_rater", "Only a preset has a contrary rater.", f"Use {', '.join(PRESETS)} with --contrary."
        )
    rate = find_rater(name)
    people = []
    for number in range(1, count + 1):
        mark = name.replace(":", "-")[:100] + (f"-{number}" if count > 1 else "")
        against = number > count - contrary
        actor = {"id": f"rater-{mark}", "kind": "agent"}
        people.append(Person(actor, from_score(_contrary(PRESETS[name])) if against else rate))
    return people


def _contrary(score: Callable[[str], float]) -> Callable[[str], float]:
    return lambda text: -score(text)


def _tidied(text: str) -> str | None:
    """Return the reply up to its last full sentence, as an agent would cut it; None when there is nothing to cut."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends and ends[-1] < len(text.rstrip()) and ends[-1] > 20 else None


def find_rater(name: str) -> Rater:
    """Return a preset, or the function at `module:function`; raises ThumbwheelError `unknown_rater`."""
    if name in PRESETS:
        return from_score(PRESETS[name])
    module, colon, function = name.partition(":")
    hint = f"Use {', '.join(PRESETS)}, or module:function."
    if not colon:
        raise ThumbwheelError("unknown_rater", f"Unknown rater {name!r}.", hint)
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ThumbwheelError("unknown_rater", f"{name}: {error}", hint) from error
    if not callable(found):
        raise ThumbwheelError("unknown_rater", f"{name} is not a function.", hint)
    return found  # type: ignore[no-any-return]


def checked(rating: Any, count: int) -> Rating:
    """Return a rating that fits `count` replies; raises ThumbwheelError `bad_rating` with what was returned."""
    chosen = rating.get("chosen") if isinstance(rating, dict) else None
    outcome = rating.get("outcome") if isinstance(rating, dict) else None
    index = isinstance(chosen, int) and not isinstance(chosen, bool) and 0 <= chosen < count
    right = (outcome == "chosen" and index) or outcome in ("tie", "none")
    if not right or not isinstance(rating.get("edited_text"), str | None):
        raise ThumbwheelError(
            "bad_rating", f"The rater returned {rating!r:.200} for {count} replies.",
            'Return {"outcome": "chosen"|"tie"|"none", "chosen": index or None, "edited_text"?: text}.',
        )  # fmt: skip
    return dict(rating) | ({} if outcome == "chosen" else {"chosen": None})
