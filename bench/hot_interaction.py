"""How long an unrelated vote waits beside an interaction with very many votes, against as many votes on as many others.

    python -m bench.hot_interaction [--votes 60000] [--probes 30]

In: a processor over an embedded log. `--votes` thumbs by as many made-up people are in the tables: all on one
interaction, then, in tables of their own, each on another. Ten more like them are appended together with a vote on an
interaction that has nothing to do with them, `--probes` times. Out: the median time until that vote is in the tables,
both ways, and their ratio; target: at most 4. Takes some 15 seconds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from contract.events import Event, decode_event, stamp
from contract.ids import uuid7
from eventlog.log import Log, append_all
from eventlog.opening import open_log
from processor.ingest.runner import Runner, tune_interpreter
from processor.tables.store import Store

TARGET = 4.0
BESIDE = 10
CHUNK = 5000
POLL_S = 0.002
SEEN = "SELECT 1 FROM interactions WHERE interaction_id = ?"


def thumb(actor: str, interaction_id: str) -> Event:
    """Return a stamped thumb up."""
    body = {
        "type": "thumb", "event_id": str(uuid7()), "actor": {"id": actor}, "interaction_id": interaction_id,
        "candidate_id": "a", "value": "up", "occurred_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return stamp(decode_event(body), project="default", key_id="k1", via="public")


def thumbs(hot: bool) -> Iterator[Event]:
    """Yield thumbs without end, each by another person, on one interaction or each on another."""
    number = 0
    while True:
        number += 1
        yield thumb(f"made-up-{number}", "hot" if hot else f"quiet-{number}")


def seen(store: Store, log: Log, events: list[Event]) -> float:
    """Append the events and return the seconds until the last one's interaction is in the tables."""
    append_all(log, events)
    began = time.perf_counter()
    while True:
        with store.read() as cursor:
            if cursor.execute(SEEN, [events[-1].interaction_id]).fetchone():  # type: ignore[union-attr]
                return time.perf_counter() - began
        time.sleep(POLL_S)


def waits(folder: Path, hot: bool, votes: int, probes: int) -> list[float]:
    """Return the seconds each unrelated vote waited."""
    log = open_log(f"sqlite:///{folder}/log", 1)
    with Store.open(folder / "tables.duckdb") as store:
        runner = Runner(store, log)
        runner.start()
        source = thumbs(hot)
        for _ in range(0, votes, CHUNK):
            append_all(log, list(islice(source, CHUNK)))
        seen(store, log, [thumb("last", "last")])
        found = [seen(store, log, [*islice(source, BESIDE), thumb("me", f"mine-{n}")]) for n in range(probes)]
        runner.stop()
    log.close()
    return found


def main() -> int:
    """Print both medians and their ratio; return 1 where it is above the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--votes", type=int, default=60_000)
    parser.add_argument("--probes", type=int, default=30)
    given = parser.parse_args()
    tune_interpreter()
    medians = []
    for hot in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            found = waits(Path(folder), hot, given.votes, given.probes)
        medians.append(statistics.median(found))
        where = "one interaction" if hot else "as many interactions"
        print(f"beside {given.votes:,} votes on {where}: {medians[-1] * 1e3:.0f} ms, longest {max(found) * 1e3:.0f} ms")
    ratio = medians[0] / medians[1]
    print(f"ratio {ratio:.2f} (target: at most {TARGET:g})")
    return ratio > TARGET


if __name__ == "__main__":
    sys.exit(main())
