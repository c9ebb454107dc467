"""Threads that append to a log while a test breaks something, and remember what was confirmed."""

from __future__ import annotations

import threading
import time

from contract.topics import EVENTS
from eventlog.log import Entry, Log


class Writers:
    """Threads that append until told to stop, and remember what was confirmed."""

    def __init__(self, log: Log, timeout_s: float = 2.0, count: int = 3) -> None:
        self.confirmed: list[tuple[float, bytes]] = []
        self.refused = 0
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(log, n, timeout_s), daemon=True) for n in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def _write(self, log: Log, name: int, timeout_s: float) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            value = f"{name}-{number}".encode()
            if log.append([Entry(EVENTS, str(name), value)], timeout_s)[0] is None:
                self.refused += 1
            else:
                self.confirmed.append((time.monotonic(), value))

    def wait_for(self, more: int, seconds: float) -> None:
        wanted, deadline = len(self.confirmed) + more, time.monotonic() + seconds
        while len(self.confirmed) < wanted:
            assert time.monotonic() < deadline, f"{len(self.confirmed)} confirmed, {self.refused} refused"
            time.sleep(0.02)

    def stop(self) -> set[bytes]:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        return {value for _, value in self.confirmed}
