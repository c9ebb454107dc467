"""Owners of partitions, as a processor is one: threads that follow a member, and a process that tests may kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

from eventlog.log import Log
from eventlog.membership import Assignment, Member

REPOSITORY = Path(__file__).parents[2]


class Owner:
    """Follows a member in a thread; remembers what it was given, and ends its work at once unless `busy` is set."""

    def __init__(self, log: Log, name: str, session_s: float = 6.0) -> None:
        self.name = name
        self.member: Member = log.member(name, session_s)
        self.history: list[Assignment | None] = [None]
        self.busy = threading.Event()
        self.error: Exception | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._closed:
            try:
                owned = self.member.wait(self.history[-1], 0.2)
            except Exception as error:  # noqa: BLE001  (the test looks at it)
                self.error = error
                return
            if owned != self.history[-1]:
                self.history.append(owned)
            if owned is None and not self.busy.is_set():
                self.member.revoke_done()

    @property
    def owned(self) -> frozenset[int]:
        """The partitions owned now."""
        now = self.member.assignment()
        return now.partitions if now else frozenset()

    def close(self, leave: bool = True) -> None:
        self._closed = True
        self.member.close(10.0, leave)
        self._thread.join(10)


class Process:
    """A member in a process of its own; `seen` holds what it told: when, and what it believed to own."""

    def __init__(self, url: str, name: str, session_s: float = 6.0) -> None:
        command = [sys.executable, "-m", "tests.eventlog.member", url, name, str(session_s)]
        self.seen: deque[tuple[float, Assignment | None]] = deque()
        self._process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            at, told, *partitions = line.split(" ", 2)
            owned = Assignment(int(told), frozenset(json.loads(partitions[0]))) if partitions else None
            self.seen.append((float(at), owned))

    @property
    def owned(self) -> frozenset[int]:
        """The partitions it last believed to own."""
        now = self.seen[-1][1] if self.seen else None
        return now.partitions if now else frozenset()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)
