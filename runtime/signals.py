"""Signals that reach the main thread, whichever thread of the process took them.

The kernel gives a signal to any thread, and at two in quick succession to one that is not the main thread. CPython runs
handlers in the main thread only, and does not wake it when another thread took the signal (it looks at its flag when it
takes the GIL the next time): a main thread that waits without end would never run them.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time

POKE_SECONDS = 0.05


class Flag:
    """`threading.Event` as far as a main loop uses it, for signal handlers to set.

    An Event's lock is not reentrant: a handler that interrupts the main thread inside of it would wait for itself.
    """

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        """Set it."""
        self._set = True

    def clear(self) -> None:
        """Unset it."""
        self._set = False

    def is_set(self) -> bool:
        """Say whether it is set."""
        return self._set

    def wait(self, seconds: float = math.inf) -> bool:
        """Wait until it is set, or so long, and say whether it is; each look lets handlers run that are due."""
        deadline = time.monotonic() + seconds
        while not self._set and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, POKE_SECONDS))
        return self._set


def wake_main_thread() -> None:
    """From now on have the main thread, which this must be called in, woken for each signal; uses SIGURG.

    In a forked child it must be called again.
    """
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
    seen = [0]

    def note(number: int, frame: object) -> None:
        seen[0] += 1

    signal.signal(signal.SIGURG, note)
    main = threading.main_thread().ident
    assert main is not None

    def poke() -> None:
        while numbers := os.read(receiver, 64):
            if not set(numbers) - {signal.SIGURG}:
                continue
            before = seen[0]
            # Handlers run in the order of their numbers: when this one's has, those of the usual signals have too.
            while seen[0] == before:
                signal.pthread_kill(main, signal.SIGURG)
                time.sleep(POKE_SECONDS)

    threading.Thread(target=poke, name="signals", daemon=True).start()
