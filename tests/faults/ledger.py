"""What clients were told, kept apart from everything that is tested, and the comparison with what DuckDB holds."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import duckdb


@dataclass(frozen=True)
class Verdict:
    """`lost`: accepted and not stored. `doubled`: stored more than once. `invented`: stored and never sent.

    `wrong_pairs` are picks that made another number of pairs than the one they should.
    """

    accepted: int
    stored: int
    lost: int
    doubled: int
    invented: int
    wrong_pairs: int

    @property
    def clean(self) -> bool:
        """Say whether nothing was lost, doubled or invented."""
        return not (self.lost or self.doubled or self.invented or self.wrong_pairs)

    def __str__(self) -> str:
        return (
            f"{self.accepted:,} accepted, {self.stored:,} stored, {self.lost} lost, {self.doubled} doubled, "
            f"{self.invented} invented, {self.wrong_pairs} with wrong pairs"
        )


@dataclass
class Ledger:
    """Every event that was sent, and every one a client was told is accepted. Thread-safe."""

    sent: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    # By event id of a pick between two described replies: its interaction.
    picks: dict[str, str] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def compare(self, path: Path) -> Verdict:
        """Compare with the tables in the closed database at `path`."""
        with duckdb.connect(str(path), read_only=True) as db:
            stored = Counter(row[0] for row in db.execute("SELECT event_id FROM events").fetchall())
            votes = Counter(row[0] for row in db.execute("SELECT event_id FROM feedback").fetchall())
            pairs = Counter(row[0] for row in db.execute("SELECT event_id FROM pairs").fetchall())
        wrong = sum(pairs[event_id] != 1 for event_id in self.picks if event_id in stored)
        return Verdict(
            accepted=len(self.accepted), stored=len(stored), lost=len(self.accepted - stored.keys()),
            doubled=sum(count > 1 for count in (*stored.values(), *votes.values())),
            invented=len(stored.keys() - self.sent), wrong_pairs=wrong,
        )  # fmt: skip
