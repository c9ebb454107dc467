"""A program that appends to a log from another process, for tests.

    python -m tests.eventlog.appender URL NAME COUNT [PAUSE_S]

Appends records NAME-0, NAME-1, ... one at a time; after each confirmed one prints `OFFSET UNIX_TIME VALUE`.
"""

from __future__ import annotations

import sys
import time

from contract.topics import EVENTS
from eventlog.log import Entry
from eventlog.opening import open_log


def main(url: str, name: str, count: str, pause_s: str = "0") -> None:
    log = open_log(url)
    print("ready", flush=True)
    for number in range(int(count)):
        time.sleep(float(pause_s))
        value = f"{name}-{number}"
        [position] = log.append([Entry(EVENTS, name, value.encode())], 20.0)
        if position is not None:
            print(position.offset, time.time(), value, flush=True)
    log.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
