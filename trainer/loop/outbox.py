"""Facts that the trainer has to tell: events in; the log, in order, out, now or when the log is there again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from contract.errors import LogUnavailable
from contract.events import Event
from eventlog.log import Log, append_all

log = logging.getLogger("trainer")


class Outbox:
    """What waits for the log, and whether somebody is away; that is said once, and once when it is over."""

    def __init__(self, events: Log) -> None:
        self._log = events
        self._waiting: list[Event] = []
        self._away = ""

    def waiting(self) -> set[str]:
        """Return the ids of the events that wait."""
        return {event.event_id for event in self._waiting}

    def send(self, events: Sequence[Any]) -> None:
        """Append the events behind those that wait."""
        self._waiting.extend(events)
        self.flush()

    def flush(self) -> None:
        """Append what waits, in order; keep it when the log is away."""
        if not self._waiting:
            return
        try:
            append_all(self._log, self._waiting)
        except LogUnavailable as error:
            self.note_away(error.message)
            return
        self._waiting.clear()

    def note_away(self, message: str) -> None:
        """Say that somebody is away, or with "" that all are there, when that is news."""
        if message and message != self._away:
            log.warning("waiting: %s", message)
        elif self._away and not message:
            log.info("going on")
        self._away = message
