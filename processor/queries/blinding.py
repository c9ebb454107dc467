"""Which interactions are blind: those of a test that is undecided. Who wrote what in them stays hidden from people.

Whether a test is undecided is read from the facts and the time, without counting its votes: a promotion test ends with
a fact; the test of a champion against its predecessor with a fact, or when its days are over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from processor.queries.facts import model_story
from processor.queries.reading import EPOCH, Row
from processor.queries.trials import list_doubts
from runtime.settings import Settings


@dataclass(frozen=True)
class Blind:
    """What hides models: whose promotion test runs, and the two sides of a champion's test against its predecessor."""

    challengers: tuple[str, ...] = ()
    compared: tuple[str, ...] = ()

    def hides(self, trial: Row | None) -> bool:
        """Say whether an interaction with this `trial` is blind."""
        if not trial:
            return False
        sides = {trial["challenger"], trial["baseline"]}
        return trial["challenger"] in self.challengers or (not trial["counted"] and sides == set(self.compared))

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of BLINDED."""
        return {"challengers": list(self.challengers), "compared": list(self.compared)}


NOT_BLIND = Blind()
# The same of a row `i` of interactions; its parameters are those of `Blind.parameters`.
BLINDED = """(
    list_contains($challengers, i.trial->>'$.challenger') OR (
        i.trial->>'$.counted' = 'false' AND len($compared) = 2 AND i.trial->>'$.challenger' <> i.trial->>'$.baseline'
        AND list_contains($compared, i.trial->>'$.challenger') AND list_contains($compared, i.trial->>'$.baseline')
    )
) IS TRUE"""


def blind_to_people(
    cursor: duckdb.DuckDBPyConnection, project: str, settings: Settings, now: datetime | None = None
) -> Blind:
    """Return what is blind at `now`."""
    changes = model_story(cursor, project)[0]
    last = {fact["body"]["adapter_id"]: fact["type"] for fact in changes}
    lasts = timedelta(days=settings.trial_days)
    doubts = [
        doubt for doubt in list_doubts(changes)
        if (now or datetime.now(UTC)) < EPOCH + timedelta(microseconds=doubt.start) + lasts
    ]  # fmt: skip
    return Blind(
        tuple(adapter_id for adapter_id, kind in last.items() if kind == "model.challenger"),
        tuple(side for doubt in doubts for side in (doubt.challenger, doubt.baseline)),
    )
