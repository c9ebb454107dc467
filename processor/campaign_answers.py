"""Counts what campaigns have been answered, from the stored votes, and tells the control store.

Only votes that stand count: an event that came twice, a vote that was replaced and one that was taken back do not. The
count lies behind the log by what the processor lies behind it, and by `EVERY_S`.
"""

from __future__ import annotations

import logging
import threading

from sqlalchemy.exc import SQLAlchemyError

from eventlog.campaigns import Campaigns
from processor.store import Store

log_lines = logging.getLogger("processor.campaigns")

EVERY_S = 2.0
# Beside 'vote': answers to something this project does not train on are answers all the same.
_ANSWERS = """
SELECT campaign, count(*) FROM feedback
WHERE campaign IS NOT NULL AND type <> 'retract' AND state IN ('vote', 'untrusted', 'unmatched')
GROUP BY campaign
"""


class AnswerCounter:
    """A thread that follows the tables until `stop`. `owner` names this processor among several."""

    def __init__(
        self, store: Store, campaigns: Campaigns, owner: str = "processor-0", every_s: float = EVERY_S
    ) -> None:
        self._store = store
        self._campaigns = campaigns
        self._owner = owner
        self._every_s = every_s
        self._stopping = threading.Event()
        self._told: dict[str, int] | None = None
        self._thread = threading.Thread(target=self._follow, name="campaign-answers", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End after the count in hand."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def count(self) -> dict[str, int]:
        """Count once, tell the control store what changed, and return the answers by campaign id."""
        known = self._campaigns.known()
        if not known:
            return {}
        with self._store.read() as cursor:
            rows = cursor.execute(_ANSWERS).fetchall()
        # A client may name any campaign; what nobody made is not counted.
        answers = {str(name): int(count) for name, count in rows if name in known}
        if answers != self._told:
            self._campaigns.put_answers(self._owner, answers)
            self._told = answers
        return answers

    def _follow(self) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                self.count()
            except SQLAlchemyError as error:
                self._told = None
                log_lines.warning("Answers to campaigns were not stored: %s", type(error).__name__)
