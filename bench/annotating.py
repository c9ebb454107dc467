"""What a task of 200,000 items with 100,000 answers costs to ask: the next item, and the counts of the task's page.

    python -m bench.annotating [--items 200000] [--answers 100000] [--rounds 40]

Real tables in a folder of their own. Between two questions one answer arrives, as when people work. Printed: the
median and the 99th percentile in ms, the first question of a process that just started, and each median as a ratio to
a plain count of the same tables in the same run. Returns 1 where the next item takes 100 ms or more, or the page's
counts 200 ms, at the 99th percentile.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from contract.curation.definitions import Stage
from contract.topics import EVENTS
from processor.curation.tasks import Task
from processor.queries.curation.book import Books
from processor.queries.tasks import list_items, progress, stuck_items, work_for
from processor.tables.store import Store

NEXT_MS, PAGE_MS = 100.0, 200.0
TASK = Task(task_id="bench", version=1, stages=(Stage(k=2), Stage(kind="review")), labels=("tone",), event_id="e")
PEOPLE = 10
_INTERACTIONS = """
INSERT INTO interactions BY NAME SELECT 'default' AS project, uuid() AS interaction_key, 'i-' || n AS interaction_id,
    'A question ' || n AS prompt_text, true AS trusted, false AS truncated, true AS described, 0 AS "partition",
    TIMESTAMP '2026-03-01' + to_seconds(n) AS occurred_at, TIMESTAMP '2026-03-01' + to_seconds(n) AS received_at
FROM range(?) t(n)
"""
_ITEMS = """
INSERT INTO task_items SELECT 'default', uuid(), 'bench', interaction_key, interaction_id, '', 0, received_at
FROM interactions
"""
_ANSWERS = """
INSERT INTO answers BY NAME SELECT 'default' AS project, interaction_key, i.interaction_id, uuid() AS event_key,
    'e-' || n AS event_id, uuid() AS answer_id, 'bench' AS task_id, 1 AS task_version, 0 AS stage, 0 AS round,
    0 AS slot, '' AS unit, 'tone' AS label, 1 AS label_version, CAST(n % 5 = 0 AS TEXT) AS value,
    'p-' || (n % $people) AS actor_id, 'agent' AS actor_kind, 'console' AS via, 'vote' AS state,
    'none' AS suggestion_shown, 4000 AS active_ms, i.received_at AS occurred_at,
    i.received_at + to_seconds(n) AS received_at
FROM range($begin, $end) t(n) JOIN interactions i ON i.interaction_id = 'i-' || (n // 2)
"""
_COUNT = """
SELECT (SELECT count(*) FROM task_items WHERE task_id = 'bench' AND project = 'default')
    + (SELECT count(*) FROM answers WHERE task_id = 'bench' AND state = 'vote' AND project = 'default')
    + (SELECT count(DISTINCT interaction_id) FROM answers WHERE task_id = 'bench' AND project = 'default')
"""


def fill(store: Store, items: int, answers: int) -> None:
    """Put the items and all but the last answers into the tables."""
    with store.transaction() as cursor:
        cursor.execute(_INTERACTIONS, [items])
        cursor.execute(_ITEMS)
        cursor.execute(_ANSWERS, {"begin": 0, "end": answers, "people": PEOPLE})
    store.claim("bench", {(EVENTS, 0): 0})


def arrive(store: Store, number: int, offset: int) -> None:
    """Let one answer come in, with the offset in its transaction."""
    with store.transaction() as cursor:
        cursor.execute(_ANSWERS, {"begin": number, "end": number + 1, "people": PEOPLE})
        store.advance(cursor, {(EVENTS, 0): offset})


def timed(question: Callable[[], object]) -> float:
    """Return what a question takes, in ms."""
    started = time.perf_counter()
    question()
    return (time.perf_counter() - started) * 1000


def page(store: Store, books: Books) -> None:
    """Ask what the task's page asks."""
    with store.read() as cursor:
        progress(cursor, "default", TASK, books)
        stuck_items(cursor, "default", TASK, books)
        list_items(cursor, "default", TASK, books=books)


def next_item(store: Store, books: Books, person: str) -> None:
    """Ask for one person's next item."""
    with store.read() as cursor:
        found = work_for(cursor, "default", TASK, person, "agent", (), books)
        if len(found) != 2:
            raise RuntimeError("no work was found")


def count(store: Store) -> None:
    """Ask for the plain counts."""
    with store.read() as cursor:
        cursor.execute(_COUNT).fetchall()


def main(items: int, answers: int, rounds: int) -> int:
    """Measure in turns and print; returns 1 when a target is missed."""
    took: dict[str, list[float]] = {"plain count": [], "next item": [], "task page": []}
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "thumbwheel.duckdb") as store:
        fill(store, items, answers)
        books = Books()
        cold = timed(lambda: next_item(store, books, "p-0"))
        cold_page = timed(lambda: page(store, Books()))
        for number in range(rounds):
            took["plain count"].append(timed(lambda: count(store)))
            arrive(store, answers + 2 * number, 2 * number + 1)
            person = f"p-{number % PEOPLE}"
            took["next item"].append(timed(lambda person=person: next_item(store, books, person)))  # type: ignore[misc]
            arrive(store, answers + 2 * number + 1, 2 * number + 2)
            took["task page"].append(timed(lambda: page(store, books)))
    base = statistics.median(took["plain count"])
    print(f"{items} items, {answers} answers, one more before each question")
    print(f"{'question':<12} {'median ms':>10} {'p99 ms':>8} {'of a count':>11}")
    worst = {}
    for name, each in took.items():
        worst[name] = sorted(each)[min(len(each) - 1, int(len(each) * 0.99))]
        print(
            f"{name:<12} {statistics.median(each):>10.1f} {worst[name]:>8.1f} {statistics.median(each) / base:>10.1f}x"
        )
    print(f"first question after a start: next item {cold:.0f} ms, task page {cold_page:.0f} ms")
    return int(worst["next item"] >= NEXT_MS or worst["task page"] >= PAGE_MS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--answers", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    sys.exit(main(given.items, given.answers, given.rounds))
