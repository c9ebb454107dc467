"""Whether a project's models think before they reply: its settings in; yes, no, or None for the template's own, out.

The trainer asks for the same setting, so that replies are drawn, judged and trained under one. Asked of the control
store every few seconds; while that is away, what was known holds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from contract.run_settings import thinking_of
from control_store.training import TrainingSettings
from runtime.settings import Settings

FRESH_S = 5.0
log = logging.getLogger(__name__)


class Thinking:
    """The choice of each project, kept for some seconds. Thread-safe: a value is replaced, never changed."""

    def __init__(
        self, settings: Settings, stored: TrainingSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._stored = stored
        self._clock = clock
        self._known: dict[str, tuple[float, bool | None]] = {}

    def of(self, project: str) -> bool | None:
        """Return whether the project's models think; None where nobody chose."""
        known = self._known.get(project)
        now = self._clock()
        if known is not None and now - known[0] < FRESH_S:
            return known[1]
        try:
            values = {**self._settings.training_of(project), **self._stored.find(project).values}
            found = thinking_of(values)
        except SQLAlchemyError as error:
            log.warning("The control store is away (%s): thinking stays as it was.", type(error).__name__)
            found = known[1] if known is not None else thinking_of(self._settings.training_of(project))
        self._known[project] = (now, found)
        return found
