"""What pages and programs were refused: counted in memory by reason, key and origin, appended to the log now and then.

Beside the rejected events, so that the console shows a newcomer's wrong origin or key within seconds, and for 30 days.
One record for a reason and a key, at most every `EVERY_S` seconds, whatever the number of requests. Origins are made up
at no cost: the first few of each record are named, the rest is counted together. No content and no key's text is kept.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from base64 import b64encode
from datetime import UTC, datetime

import msgspec

from contract.errors import LogUnavailable
from contract.topics import REJECTED as REJECTED_TOPIC
from eventlog.log import Entry, Log
from eventlog.rejected import REFUSED_CODE, Rejected

log_lines = logging.getLogger(__name__)

# What whoever embeds the SDK can mend; a busy collector or a slow network is no fault of theirs.
KEPT = frozenset({
    "invalid_body", "invalid_key", "origin_not_allowed", "too_large", "unsupported_type", "rate_limited",
})  # fmt: skip
ROUTES = frozenset({"events", "campaigns"})
MOST_ORIGINS = 20
# Reasons times keys; past that the key is no longer told apart.
MOST_RECORDS = 64
MAX_ORIGIN = 200
# The first of a quiet time is shown at once, the others of a minute together.
FIRST_S = 1.0
EVERY_S = 60.0
APPEND_SECONDS = 5.0

Subject = tuple[str, str | None, str]


class Refusals:
    """Counts refusals and keeps them; thread-safe. Open it after a fork, close it before the log."""

    def __init__(self, log: Log, *, first_s: float = FIRST_S, every_s: float = EVERY_S) -> None:
        self._log = log
        self._first_s, self._every_s = first_s, every_s
        self._lock = threading.Lock()
        self._counts: dict[Subject, dict[str, int]] = {}
        self._some = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="refusals", daemon=True)
        self._thread.start()

    def add(self, code: str, route: str, project: str | None, key_id: str, origin: str | None) -> None:
        """Count a refused request; `project` is None where the key is not known."""
        if code not in KEPT or route not in ROUTES:
            return
        subject: Subject = (code, project, key_id)
        with self._lock:
            if subject not in self._counts and len(self._counts) >= MOST_RECORDS:
                subject = (code, None, "")
            origins = self._counts.setdefault(subject, {})
            named = origin[:MAX_ORIGIN] if origin else ""
            if named not in origins and len(origins) >= MOST_ORIGINS:
                named = "*"
            origins[named] = origins.get(named, 0) + 1
        self._some.set()

    def close(self) -> None:
        """Keep what is counted, as far as the log takes it."""
        self._closing.set()
        self._some.set()
        self._thread.join(APPEND_SECONDS)
        self.flush()

    def flush(self) -> None:
        """Append what was counted; what the log does not take is counted on."""
        with self._lock:
            taken, self._counts = self._counts, {}
        now = datetime.now(UTC)
        entries = [_entry(subject, origins, now) for subject, origins in taken.items()]
        try:
            kept = bool(entries) and all(self._log.append(entries, APPEND_SECONDS))
        except LogUnavailable:
            kept = False
        if entries and not kept:
            self._count_on(taken)

    def _count_on(self, taken: dict[Subject, dict[str, int]]) -> None:
        with self._lock:
            for subject, origins in taken.items():
                held = self._counts.setdefault(subject, {})
                for origin, requests in origins.items():
                    held[origin] = held.get(origin, 0) + requests

    def _follow(self) -> None:
        while not self._closing.is_set():
            self._some.wait()
            self._closing.wait(self._first_s)
            self._some.clear()
            self.flush()
            self._closing.wait(self._every_s)


def _entry(subject: Subject, origins: dict[str, int], now: datetime) -> Entry:
    """Return the record; `origins` counts requests by origin, "" without one, "*" all that are not named."""
    code, project, key_id = subject
    total = sum(origins.values())
    raw = msgspec.json.encode({"origins": origins, "requests": total})
    digest = hashlib.sha256(raw + repr((subject, now)).encode()).hexdigest()
    kept = Rejected(
        project=project, key_id=key_id, received_at=now, code=REFUSED_CODE + code,
        message=f"{total} {'request was' if total == 1 else 'requests were'} refused: {code}.",
        length=len(raw), digest=digest, raw=b64encode(raw).decode(),
    )  # fmt: skip
    return Entry(REJECTED_TOPIC, digest, msgspec.json.encode(kept))
