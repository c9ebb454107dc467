"""Near-duplicate prompts, found by embedding, behind ingestion and never in its way.

A follower thread reads the log by its own stored position, up to where the tables are, embeds each prompt it has
not seen (by hash), and marks it as a duplicate of the closest earlier one that the verifier accepts. Marks lie in
`duplicates`, outside the digest: nothing is deleted, nothing is closed transitively. Equal prompts by normalised
hash need no follower; the view `prompt_duplicates` shows both.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from contract.ids import key_bytes
from contract.topics import EVENTS
from eventlog.log import Log, Record
from processor import metrics
from processor.ingest.runner import records_behind
from processor.similarity.embedder import Embedder, find_embedder
from processor.similarity.neighbours import Neighbours
from processor.similarity.verifier import disagreement
from processor.tables.arrow import uuid_array
from processor.tables.selecting import among
from processor.tables.store import Store, insert

log_lines = logging.getLogger("processor.similarity.duplicates")

CHUNK = 256
SAVE_EVERY = 2000

_NEW_PROMPTS = """
SELECT i.project, i.prompt_hash, min_by(i.interaction_key, (i.received_at, i.interaction_key)),
    min_by(i.prompt_text, (i.received_at, i.interaction_key)), min_by(i.messages, (i.received_at, i.interaction_key))
FROM interactions AS i
WHERE i.rowid IN (SELECT rowid FROM interactions WHERE interaction_key IN (SELECT key FROM touched))
    AND i.described AND i.prompt_text IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM embedded_prompts AS e WHERE e.project = i.project AND e.prompt_hash = i.prompt_hash)
GROUP BY i.project, i.prompt_hash
ORDER BY min(i.received_at), i.prompt_hash
"""
_EMBEDDED = """
SELECT e.project, e.position, e.interaction_key, e.vector, i.prompt_text
FROM embedded_prompts AS e JOIN interactions AS i USING (interaction_key)
WHERE e.position IS NOT NULL ORDER BY e.project, e.position
"""
_PROMPT_COLUMNS = ("project", "prompt_hash", "interaction_key", "model", "position", "vector", "skipped")
_MARK_COLUMNS = ("project", "interaction_key", "canonical_key", "similarity", "method", "model", "threshold")


class _Named(msgspec.Struct):
    """The part of a record that tells which interaction it speaks of."""

    type: str = ""
    project: str = ""
    interaction_id: str = ""
    messages: msgspec.Raw = msgspec.Raw(b"null")


class Follower:
    """Embeds prompts behind ingestion until `stop`; does nothing where no embedder is configured or installed."""

    def __init__(self, store: Store, log: Log, setting: str, *, folder: Path) -> None:
        self._store = store
        self._log = log
        self._source = find_embedder(setting)
        self._folder = folder
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._stage: Stage | None = None
        self._embedder: Embedder | None = None
        self._unsaved = 0
        self._marks_version = store.marks_version
        self._wake: Callable[[], None] = lambda: None
        self.error: BaseException | None = None

    def start(self) -> None:
        """Begin in a thread of low priority."""
        if self._source is None:
            log_lines.info("No embedder: prompts are compared by their normalised hash only.")
            return
        self._thread = threading.Thread(target=self._guarded, name="processor-embed", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End after the chunk in hand."""
        self._stopping.set()
        self._wake()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _guarded(self) -> None:
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        try:
            self._follow()
        except Exception as error:  # noqa: BLE001  (marks are a cache: ingestion goes on without them)
            self.error = error
            line = str(error).splitlines()[0] if str(error) else type(error).__name__
            log_lines.error("Embedding stopped, prompts are compared by hash only: %s", line)

    def _follow(self) -> None:
        assert self._source is not None
        reset_other_model(self._store, self._source[0])
        positions = self._positions()
        reader = self._log.reader(positions)
        self._wake = reader.wake
        try:
            while not self._stopping.is_set():
                records = reader.poll(CHUNK, 1.0)
                if records and self._wait_for_tables(records):
                    self._see(records)
        finally:
            self._wake = lambda: None
            self._save()
            reader.close()

    def _save(self) -> None:
        """Write the indexes, unless somebody was forgotten since they were made."""
        with self._store.marking:
            if self._stage is not None and self._marks_version == self._store.marks_version:
                self._stage.save(self._folder)
                self._unsaved = 0

    def _positions(self) -> dict[tuple[str, int], int]:
        with self._store.read() as cursor:
            rows = cursor.execute('SELECT topic, "partition", next_offset FROM embedding_position').fetchall()
        stored = {(topic, partition): offset for topic, partition, offset in rows}
        places = [(EVENTS, partition) for partition in range(self._log.partitions(EVENTS))]
        return {place: max(stored.get(place, 0), start) for place, start in self._log.start_offsets(places).items()}

    def _wait_for_tables(self, records: Sequence[Record]) -> bool:
        """Wait until the tables hold these records; False when stopping."""
        needed: dict[tuple[str, int], int] = {}
        for record in records:
            needed[record.topic, record.partition] = record.offset + 1
        while not self._stopping.is_set():
            reached = self._store.offsets()
            if all(reached.get(place, 0) >= offset for place, offset in needed.items()):
                return True
            self._stopping.wait(0.2)
        return False

    def _see(self, records: Sequence[Record]) -> None:
        keys = {key for record in records if (key := described_key(record)) is not None}
        positions = {(r.topic, r.partition): r.offset + 1 for r in records}
        with self._store.marking:
            if self._marks_version != self._store.marks_version:
                # Somebody was forgotten: the prompts that are left have other positions now.
                self._marks_version, self._stage = self._store.marks_version, None
            if self._stage is None and keys:
                assert self._source is not None
                self._stage = Stage(self._store, self._embedder or Embedder(*self._source), self._folder)
                self._embedder = self._stage.embedder
            self._unsaved += mark_prompts(self._store, self._stage, sorted(keys), positions)
        if self._unsaved >= SAVE_EVERY:
            self._save()
        if (behind := records_behind(self._log, positions)) is not None:
            metrics.EMBEDDING_LAG.set(sum(behind.values()))


class Stage:
    """The embedder with the prompts it has seen, by project: their index, keys and texts by position."""

    def __init__(self, store: Store, embedder: Embedder, folder: Path) -> None:
        self.embedder = embedder
        self.indexes: dict[str, Neighbours] = {}
        self.prompts: dict[str, list[tuple[bytes, str]]] = {}
        with store.read() as cursor:
            rows = cursor.execute(_EMBEDDED).fetchall()
        for project in sorted({row[0] for row in rows}):
            held = [row for row in rows if row[0] == project]
            self.prompts[project] = [(row[2].bytes, row[4] or "") for row in held]
            vectors = np.asarray([row[3] for row in held], dtype=np.float32)
            index = Neighbours.load(folder, project, embedder.name, len(held), vectors.shape[1])
            if index is None:
                index = Neighbours(vectors.shape[1])
                index.add(list(range(len(held))), vectors)
            self.indexes[project] = index

    def place(self, project: str, key: bytes, text: str, vector: Any) -> tuple[int, tuple[bytes, float] | None]:
        """Add a prompt; return its position and, if it asks what an earlier one asked, that one and the cosine."""
        index = self.indexes.setdefault(project, Neighbours(len(vector)))
        prompts = self.prompts.setdefault(project, [])
        twin = None
        for position, similarity in index.nearest(vector, self.embedder.threshold):
            earlier_key, earlier_text = prompts[position]
            if disagreement(text, earlier_text) is None:
                twin = earlier_key, similarity
                break
        index.add([len(prompts)], vector[np.newaxis, :])
        prompts.append((key, text))
        return len(prompts) - 1, twin

    def save(self, folder: Path) -> None:
        """Write every project's index."""
        for project, index in self.indexes.items():
            index.save(folder, project, self.embedder.name)


def described_key(record: Record) -> bytes | None:
    """Return the interaction key of a record that describes an interaction, else None."""
    try:
        named = msgspec.json.decode(record.value, type=_Named)
    except (msgspec.MsgspecError, UnicodeError):
        return None
    if not named.interaction_id or bytes(named.messages) == b"null":
        return None
    return key_bytes(named.project, named.interaction_id)


def reset_other_model(store: Store, model: str) -> None:
    """Forget what another model made: its vectors and marks cannot be compared with ours."""
    with store.transaction() as cursor:
        row = cursor.execute("SELECT count(*) FROM embedded_prompts WHERE model <> ?", [model]).fetchone()
        if row and row[0]:
            for table in ("embedded_prompts", "duplicates", "embedding_position"):
                cursor.execute(f"DELETE FROM {table}")


def mark_prompts(
    store: Store, stage: Stage | None, keys: Sequence[bytes], positions: dict[tuple[str, int], int]
) -> int:
    """Embed the prompts of these interactions that are new, mark duplicates, move the position; one transaction."""
    seen: list[tuple[Any, ...]] = []
    marks: list[tuple[Any, ...]] = []
    if stage is not None and keys:
        seen, marks = _compare(stage, _new_prompts(store, keys))
    with store.transaction() as cursor:
        insert(cursor, "embedded_prompts", _arrow(_PROMPT_COLUMNS, seen))
        insert(cursor, "duplicates", _arrow(_MARK_COLUMNS, marks))
        for (topic, partition), next_offset in positions.items():
            cursor.execute(
                "INSERT INTO embedding_position VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset",
                [topic, partition, next_offset],
            )
    return len(seen)


def _new_prompts(store: Store, keys: Sequence[bytes]) -> list[tuple[Any, ...]]:
    with store.read() as cursor:
        return among(cursor, keys, _NEW_PROMPTS)


def _compare(stage: Stage, prompts: Sequence[tuple[Any, ...]]) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Return the rows of `embedded_prompts` and of `duplicates` for new prompts."""
    embedder = stage.embedder
    reasons = [_skip_reason(embedder, text, messages) for _, _, _, text, messages in prompts]
    taken = [prompt for prompt, reason in zip(prompts, reasons, strict=True) if reason is None]
    vectors = iter(embedder.encode([prompt[3] for prompt in taken]) if taken else ())
    seen: list[tuple[Any, ...]] = []
    marks: list[tuple[Any, ...]] = []
    for (project, prompt_hash, key, text, _), reason in zip(prompts, reasons, strict=True):
        position: int | None = None
        vector: Any = None
        if reason is None:
            vector = next(vectors)
            position, twin = stage.place(project, key.bytes, text, vector)
            if twin is not None:
                marks.append((project, key.bytes, twin[0], twin[1], "embedding", embedder.name, embedder.threshold))
        metrics.EMBEDDED.labels(reason or "embedded").inc()
        seen.append((
            project, prompt_hash.bytes, key.bytes, embedder.name, position,
            None if vector is None else vector.tolist(), reason,
        ))  # fmt: skip
    return seen, marks


def _skip_reason(embedder: Embedder, text: str, messages: str) -> str | None:
    """A later turn ("yes, that one") means nothing without its dialogue: only first questions are compared."""
    turns = [message for message in msgspec.json.decode(messages) if message.get("role") == "user"]
    return "multi_turn" if len(turns) != 1 else embedder.skip_reason(text)


def _arrow(columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    arrays = []
    for name, values in zip(columns, zip(*rows, strict=True) if rows else [()] * len(columns), strict=True):
        if name in ("prompt_hash", "interaction_key", "canonical_key"):
            arrays.append(uuid_array(list(values)))
        elif name == "vector":
            arrays.append(pa.array(values, pa.list_(pa.float32())))
        else:
            arrays.append(pa.array(values))
    return pa.table(arrays, names=list(columns))
