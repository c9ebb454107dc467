"""Whether a running program still answers: in, its health address; out, for how long it has been silent.

A program that hangs keeps running, so its end cannot tell. A thread asks once in a while; one answer that is late or
missing means nothing on a busy machine, a minute without any does.
"""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request

PAUSE_S = 5.0
ANSWER_S = 10.0
SILENT_S = 60.0
MISSES = 4


class Pulse:
    """Asks one run of a program until `end`; one that has never answered is still starting, however long it takes."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ended = threading.Event()
        self._answered_at = time.monotonic()
        self._answered = False
        self._misses = 0
        threading.Thread(target=self._ask_on, name="pulse", daemon=True).start()

    def silent_s(self) -> float:
        """Return for how many seconds nothing came, once that is too long; 0 before."""
        silent = time.monotonic() - self._answered_at
        return silent if self._answered and silent >= SILENT_S and self._misses >= MISSES else 0.0

    def end(self) -> None:
        """Ask no more."""
        self._ended.set()

    def _ask_on(self) -> None:
        while not self._ended.wait(PAUSE_S):
            if answers(self._url, ANSWER_S):
                self._answered_at, self._answered, self._misses = time.monotonic(), True, 0
            else:
                self._misses += 1


def answers(url: str, seconds: float) -> bool:
    """Say whether an address answers 200 in time."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False
