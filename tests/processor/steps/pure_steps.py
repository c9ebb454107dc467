"""In: the golden log, and a story of somebody forgotten. Out: a digest of all that the steps make of them, in batches.

    python -m tests.processor.steps.pure_steps BATCH

Memory is the store. Whatever opens, connects, asks the clock or chance while a step runs ends the process.
"""

from __future__ import annotations

import hashlib
import os
import random
import secrets
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from contract.events import Forget, decode_stored
from eventlog.log import Record
from processor.steps import decode, forget, slices
from processor.steps.batch import Decoded, Forgets, Held, Known, microseconds
from tests.processor.privacy.test_forget import story
from tests.processor.samples import records as as_records
from tests.processor.tables.test_rows_version import golden_records

CLOCKS = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep", "gmtime")
# What Python tells of before it does it; objects and code are made all the time.
HARMLESS = ("object.", "import", "compile", "exec", "marshal.", "sys._getframe", "code.", "builtins.id", "gc.")
FORBIDDEN = False


class Touched(BaseException):
    """A step reached out; no step catches this."""


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what Python reports: files, sockets, processes, databases."""
    if FORBIDDEN and not event.startswith(HARMLESS):
        raise Touched(event)


def refused(*_: object, **__: object) -> NoReturn:
    raise Touched("the clock or chance")


@contextmanager
def nothing_else() -> Iterator[None]:
    """Let what runs within have memory alone."""
    global FORBIDDEN
    held = [(time, name) for name in CLOCKS] + [(os, "urandom"), (uuid, "uuid4"), (uuid, "uuid1")]
    held += [(secrets, "token_bytes"), (random, "random"), (random.Random, "random"), (random.Random, "getrandbits")]
    kept = [(owner, name, getattr(owner, name)) for owner, name in held]
    for owner, name in held:
        setattr(owner, name, refused)
    FORBIDDEN = True
    try:
        yield
    finally:
        FORBIDDEN = False
        for owner, name, own in kept:
            setattr(owner, name, own)


class Memory:
    """What the steps made so far, in the store's place."""

    def __init__(self) -> None:
        self.known: dict[bytes, Known] = {}
        self.facts: dict[bytes, Any] = {}
        self.forgotten: set[Any] = set()
        self.forgets = Forgets()
        self.digest = hashlib.sha256()
        self.tables: set[str] = set()

    def batch(self, records: list[Record]) -> None:
        """Take records through the steps and keep what they make."""
        with nothing_else():
            decoded = decode(records)
        for row in decoded.facts.values():
            fact = decode_stored(row.body.encode())
            if isinstance(fact, Forget):
                self.forgets.add(row.project, fact.actor_digest, microseconds(fact.before))
        self._make(decoded)

    def _make(self, decoded: Decoded) -> None:
        held = Held(self.forgets, self.known, self.facts, self.forgotten)
        with nothing_else():
            remaining = forget(decoded, held)
            made = list(slices(decoded, held, remaining))
        for part in made:
            self.known |= {key: after for key, (_, after) in part.interactions.items()}
            for added, gone in part.changes:
                self.tables |= {table for table, rows in added.items() if rows}
                self.digest.update(repr((added, gone)).encode())
        for added in (row for part in made for changes in part.changes for row in changes.added.get("facts", ())):
            self.facts[added.event_key] = added
        self.forgotten |= remaining.forgotten
        self.digest.update(repr((remaining.newly, remaining.erased, decoded.positions)).encode())


def main() -> None:
    memory, size = Memory(), int(sys.argv[1])
    # Twice: what comes again meets what is held, and somebody who was forgotten meanwhile.
    told = [*golden_records(), *as_records(story())]
    records = [record._replace(offset=offset) for offset, record in enumerate([*told, *told])]
    sys.addaudithook(watch)
    for start in range(0, len(records), size):
        memory.batch(records[start : start + size])
    print(memory.digest.hexdigest(), *sorted(memory.tables))


if __name__ == "__main__":
    main()
