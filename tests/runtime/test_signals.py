"""Flags that signal handlers set, and a main thread that is woken whoever took the signal."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

from runtime.signals import Flag

WAITS_WITHOUT_END = """
import signal, threading, time
from runtime.signals import wake_main_thread

done = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: done.set())
wake_main_thread()

def take_it():
    time.sleep(0.3)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    time.sleep(60)

threading.Thread(target=take_it, daemon=True).start()
print("waiting", flush=True)
done.wait()
print("woken", flush=True)
"""


def test_a_main_thread_that_waits_without_end_is_woken_for_a_signal_another_one_took() -> None:
    said = subprocess.run([sys.executable, "-c", WAITS_WITHOUT_END], capture_output=True, text=True, timeout=30)
    assert said.stdout.split() == ["waiting", "woken"], said.stderr


def test_a_flag_set_by_a_handler_that_interrupts_another_one_is_set() -> None:
    flag = Flag()

    def first(number: int, frame: object) -> None:
        signal.raise_signal(signal.SIGUSR2)
        flag.set()

    before = signal.signal(signal.SIGUSR1, first), signal.signal(signal.SIGUSR2, lambda *_: flag.set())
    try:
        threading.Timer(0.1, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)).start()
        assert flag.wait(20)
    finally:
        signal.signal(signal.SIGUSR1, before[0])
        signal.signal(signal.SIGUSR2, before[1])


def test_a_flag_that_nobody_sets_is_waited_for_as_long_as_said() -> None:
    flag = Flag()
    began = time.monotonic()
    assert not flag.wait(0.12)
    assert time.monotonic() - began >= 0.12
    flag.set()
    assert flag.wait() and flag.is_set()
    flag.clear()
    assert not flag.is_set()
