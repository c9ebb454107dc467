"""A program that is a member of the group which shares a log's partitions, for tests that kill or freeze it.

    python -m tests.eventlog.member URL NAME SESSION_S

Looks all the time, and prints when a look began and what it found: `MONOTONIC_TIME null`, or
`MONOTONIC_TIME GENERATION [PARTITION, ...]`.
"""

from __future__ import annotations

import json
import sys
import time

from eventlog.opening import open_log

LOOK_SECONDS = 0.02


def main(url: str, name: str, session_s: str) -> None:
    log = open_log(url)
    member = log.member(name, float(session_s))
    owned = None
    while True:
        began = time.monotonic()
        owned = member.wait(owned, 0.0)
        if owned is None:
            member.revoke_done()
        told = "null" if owned is None else f"{owned.generation} {json.dumps(sorted(owned.partitions))}"
        print(began, told, flush=True)
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
