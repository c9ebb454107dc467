"""A product's server that gives feedback through the Python SDK and writes down each event's id before it makes it.

    python -m tests.faults.producer '{"url", "key", "source", "names", "count", "folder", "spool", "most"}'

`names` beyond the first are children forked after the client was made. Killed and started again, it goes on where its
ledger ends; the last id there may have been made or not, so it is made again. `most` bounds what may wait; one event
more follows then when all are settled, to carry the report of what was dropped. Ids of what will not arrive are written
down too. Prints what its client counted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from thumbwheel import Client, Problem, uuid7

# What may wait before the producer holds on, as a server does that limits its own work.
MOST_WAITING = 2000
SECONDS = 120


def go_on(client: Client, name: str, count: int, path: Path) -> None:
    """Make the events that the ledger lacks, up to `count`, and wait until all are settled."""
    known = path.read_text().split() if path.exists() else []
    if known:
        client.thumb(f"{name}-{len(known) - 1}", "c-1", "up", event_id=known[-1], actor=name)
    make(client, name, range(len(known), count), path)


def make(client: Client, name: str, numbers: range, path: Path) -> None:
    """Make these events and wait until all are settled."""
    with path.open("a", buffering=1) as ledger:
        for number in numbers:
            event_id = uuid7()
            ledger.write(f"{event_id}\n")
            client.thumb(f"{name}-{number}", "c-1", "up", event_id=event_id, actor=name)
            while number % 100 == 0 and client.stats().waiting > MOST_WAITING:
                client.flush(0.2)
    deadline = time.monotonic() + SECONDS
    while not client.flush(0.5) and time.monotonic() < deadline:
        time.sleep(0.05)


def report(client: Client, name: str) -> None:
    """Print what the client counted."""
    stats = client.stats()
    print(json.dumps({"name": name, "dropped": stats.dropped, "waiting": stats.waiting}), flush=True)


def main(asked: dict[str, Any]) -> None:
    """Make the client, fork, and produce in every process."""
    first, *others = asked["names"]
    folder = Path(asked["folder"])
    dropped = folder / f"{first}.dropped"

    def note(problem: Problem, event_id: str | None) -> None:
        with dropped.open("a") as file:
            file.write(f"{event_id}\n")

    client = Client(
        asked["url"], asked["key"], source=asked["source"], spool=asked.get("spool"), on_error=note,
        max_events=asked["most"] or 10_000,
    )  # fmt: skip
    for name in others:
        if os.fork() == 0:
            go_on(client, name, asked["count"], folder / f"{name}.ledger")
            report(client, name)
            client.shutdown()
            os._exit(0)
    count, path = asked["count"], folder / f"{first}.ledger"
    go_on(client, first, count, path)
    if asked["most"]:
        make(client, first, range(count, count + 1), path)
    report(client, first)
    for _ in others:
        os.wait()
    client.shutdown()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
