"""Whether a log still has its beginning: tables made from the rest would lack what was cut, and nobody would see."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from contract.errors import ThumbwheelError
from contract.topics import REJECTED
from eventlog.log import Log
from processor.tables.store import Position

log_lines = logging.getLogger("processor.ingest.beginning")


def check_beginning(log: Log, starts: Mapping[Position, int]) -> None:
    """Raise ThumbwheelError `log_begins_later` where records from before `starts` are gone.

    A log that may forget is taken as it is, with a warning. Rejected events expire in every log.
    """
    for (topic, partition), start in sorted(starts.items()):
        if start == 0 or topic == REJECTED:
            continue
        gone = f"{topic} {partition} begins at offset {start}: what came before is not in the log"
        if log.keeps_all:
            raise ThumbwheelError(
                "log_begins_later", f"{gone}, and the tables would lack it.",
                "Name the archive that holds it in THUMBWHEEL_ARCHIVE. Without one, copy what is left into a new log: "
                "`thumbwheel log copy`.",
            )  # fmt: skip
        log_lines.warning("%s.", gone)
