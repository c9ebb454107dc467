"""In: wrong passwords, by name, address and device. Out: how long the next attempt has to wait.

Who guesses waits: longer with each wrong password, and no limit is shared with the person guessed at.

- One address that tries one name has five tries, then waits 1, 2, 4 ... up to 900 seconds. Others are not touched.
- One address has thirty tries whatever the names, one name fifty from all addresses together, each in an hour; then the
  same waits. A single address never comes near the fifty: its own waits end before.
- A browser that logged in under a name before has a device cookie for it, and is counted apart from all others: while
  somebody guesses from a thousand addresses, it logs in as ever, and with a stolen cookie one has five tries.

This is OWASP's "device cookies" with growing waits. Counts are of this process, and of the last hour.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import deque
from collections.abc import Callable

WINDOW_S = 3600.0
LONGEST_WAIT_S = 900.0
TRIES = {"device": 5, "pair": 5, "address": 30, "name": 50}
# Marks kept at a time; the one that failed longest ago goes first.
MOST_MARKS = 20_000

Mark = tuple[str, str]


def marks(name: str, address: str, device: str | None) -> list[Mark]:
    """Return what an attempt counts against; `device` is the id of a device known for this name."""
    if device is not None:
        return [("device", f"{device} {name}")]
    place = network(address)
    return [("pair", f"{place} {name}"), ("address", place), ("name", name)]


def network(address: str) -> str:
    """Return an address as it is counted: of IPv6 the /64 that one household or server has whole."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(getattr(found, "ipv4_mapped", None) or found)


class Guesses:
    """Counts attempts by mark; thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._times: dict[Mark, deque[float]] = {}

    def begin(self, marks: list[Mark]) -> float:
        """Return the seconds to wait, or 0 and count the attempt as wrong until `right` says otherwise.

        It counts before the password is looked at: any number of attempts at the same moment are no more than one after
        the other. An attempt that has to wait counts nothing.
        """
        with self._lock:
            now = self._clock()
            wait = max(self._wait(mark, now) for mark in marks)
            if wait <= 0:
                for mark in marks:
                    self._add(mark, now)
            return max(0.0, wait)

    def right(self, marks: list[Mark]) -> None:
        """Take the attempt back, and forget what this person mistyped; what others did at the name stays."""
        with self._lock:
            for mark in marks:
                if mark[0] in ("device", "pair"):
                    self._times.pop(mark, None)
                elif times := self._times.get(mark):
                    times.pop()

    def _wait(self, mark: Mark, now: float) -> float:
        times = self._times.get(mark)
        while times and now - times[0] > WINDOW_S:
            times.popleft()
        over = len(times or ()) - TRIES[mark[0]]
        if not times or over < 0:
            return 0.0
        return times[-1] + min(LONGEST_WAIT_S, 2.0 ** min(over, 10)) - now

    def _add(self, mark: Mark, now: float) -> None:
        times = self._times.pop(mark, None) or deque(maxlen=TRIES[mark[0]] + 11)
        times.append(now)
        # Last in the dictionary: it keeps the order of the latest failure.
        self._times[mark] = times
        while len(self._times) > MOST_MARKS:
            del self._times[next(iter(self._times))]
