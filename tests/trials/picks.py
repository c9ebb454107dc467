"""Ballots for tests: a rater, a side, a moment; each on an interaction and a prompt of its own unless told."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from trials.evidence import Counts
from trials.rule import Tally
from trials.votes import Ballot, Side

MINUTE = 60_000_000
DAY = 24 * 60 * MINUTE
SIDES: dict[str, Side] = {"w": "win", "l": "loss", "t": "tie", "n": "none"}


def ballot(n: int, side: Side = "win", rater: str = "r", **fields: Any) -> Ballot:
    """Return the n-th ballot, a minute after the one before it."""
    at = fields.pop("arrived", n * MINUTE)
    return Ballot(
        interaction_id=fields.pop("interaction", f"i{n}"), actor_id=rater, event_id=fields.pop("event", f"e{n}"),
        arrived=at, moment=(at, at, f"e{n}"), side=side, prompt_group=fields.pop("group", f"g{n}"), **fields,
    )  # fmt: skip


def ballots(*parts: tuple[str, str], start: int = 0, **fields: Any) -> list[Ballot]:
    """Return picks part after part: ("a", "wwl") is a win, a win and a loss of rater a."""
    marks = [(rater, mark) for rater, text in parts for mark in text]
    return [ballot(start + n, SIDES[mark], rater, **fields) for n, (rater, mark) in enumerate(marks)]


def in_turns(*parts: tuple[str, str]) -> list[tuple[str, str]]:
    """Return the same picks one by one, a rater after the other as at a table."""
    dealt = itertools.zip_longest(*([(rater, mark) for mark in text] for rater, text in parts))
    return [pick for turn in dealt for pick in turn if pick is not None]


def tally_of(*raters: Iterable[str] | str) -> Tally:
    """Return the tally of raters a, b, c ... each with the picks of a text, in its order."""
    found = {}
    for number, text in enumerate(raters):
        marks = "".join(text)
        first = marks[:10]
        found[chr(ord("a") + number)] = Counts(
            marks.count("w"), marks.count("l"), first.count("w"), first.count("l"), latest=len(marks) * MINUTE
        )
    return Tally(found)
