"""Counts what campaigns have been answered, from the stored votes, and tells the control store.

Only votes that stand count: an event that came twice, a vote that was replaced and one that was taken back do not. The
count lies behind the log by what the processor lies behind it, and by `EVERY_S`.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection

from sqlalchemy.exc import SQLAlchemyError

from control_store.campaigns import Campaigns
from processor.tables.store import Store

log_lines = logging.getLogger("processor.campaigns")

EVERY_S = 2.0
# Beside 'vote': answers to something this project does not train on are answers all the same.
_ANSWERS = """
SELECT i."partition", f.campaign, count(*) FROM feedback f JOIN interactions i USING (interaction_key)
WHERE f.campaign IS NOT NULL AND f.type <> 'retract' AND f.state IN ('vote', 'untrusted', 'unmatched')
GROUP BY i."partition", f.campaign
"""
ALONE = "processor-0"


class AnswerCounter:
    """A thread that follows the tables until `stop`. `owned`: this processor's partitions, where several share them."""

    def __init__(
        self, store: Store, campaigns: Campaigns, owned: Callable[[], Collection[int]] | None = None,
        *, every_s: float = EVERY_S,
    ) -> None:  # fmt: skip
        self._store = store
        self._campaigns = campaigns
        self._owned = owned
        self._every_s = every_s
        self._stopping = threading.Event()
        self._told: dict[str, dict[str, int]] = {}
        self._thread = threading.Thread(target=self._follow, name="campaign-answers", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End after the count in hand."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def count(self) -> dict[str, int]:
        """Count once, tell the control store what changed, and return the answers by campaign id.

        Of several processors each tells for its partitions, under their names: a partition that moved is told once.
        """
        known = self._campaigns.known()
        if not known:
            return {}
        with self._store.read() as cursor:
            rows = cursor.execute(_ANSWERS).fetchall()
        answers: dict[str, Counter[str]] = {name: Counter() for name in self._names()}
        for partition, campaign, count in rows:
            # A client may name any campaign; what nobody made is not counted.
            teller = ALONE if self._owned is None else f"partition-{partition}"
            if campaign in known and teller in answers:
                answers[teller][campaign] += int(count)
        for teller, counted in answers.items():
            if counted != self._told.get(teller):
                self._campaigns.put_answers(teller, counted)
        self._told = {teller: dict(counted) for teller, counted in answers.items()}
        return dict(sum(answers.values(), Counter()))

    def _names(self) -> list[str]:
        """Return under which names this processor tells; nothing is left of when it was alone."""
        return [ALONE] if self._owned is None else [ALONE, *(f"partition-{number}" for number in self._owned())]

    def _follow(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                self.count()
            except SQLAlchemyError as error:
                self._told = {}
                log_lines.warning("Answers to campaigns were not stored: %s", type(error).__name__)
