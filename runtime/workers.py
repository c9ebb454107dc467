"""granian, so that its workers can be replaced while requests come in (SIGHUP), without one being lost.

Granian's workers each bind a socket of their own; when one ends, what waited at its socket is reset by the kernel.
Here the parent opens the sockets, one for each worker's place, and keeps them: a new worker takes over its
predecessor's, with all that waits there. The new one makes its app first; one that cannot leaves the old one in place.
Then the old one answers a while longer, each time with `Connection: close`, so that its clients connect anew, and ends
as at SIGTERM.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.reloads import Reloads, hold, tell
from runtime.settings import Bind
from runtime.signals import Flag

if TYPE_CHECKING:
    from granian import Granian
else:
    # Whoever only reads the log does without granian: `runtime.serve` puts it behind this class.
    Granian = object

START_SECONDS = 60.0
# Long enough for each connection that is in use to carry one more answer.
FAREWELL_SECONDS = 1.0
LOOK_SECONDS = 0.05

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Farewell:
    """WSGI around an app; after `begin` every answer ends its connection."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._begun = False

    def begin(self, number: int = 0, frame: Any = None) -> None:
        """Say farewell from now on (a signal handler)."""
        self._begun = True

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Pass the request on."""
        if not self._begun:
            return self._app(environ, start_response)

        def start(status: str, headers: Sequence[tuple[str, str]], *error: Any) -> Any:
            kept = [header for header in headers if header[0].lower() != "connection"]
            return start_response(status, [*kept, ("Connection", "close")], *error)

        return self._app(environ, start)


def make_worker(factory: Callable[[], App], others: Sequence[socket.socket], ready: int) -> App:
    """In a new worker: make the app, be ready to say farewell, and tell the parent."""
    for other in others:
        # A socket that nobody takes from must not stay open in here.
        other.close()
    app = Farewell(factory())
    signal.signal(signal.SIGHUP, app.begin)
    os.write(ready, b"1")
    os.close(ready)
    return app


class KeepsSockets(Granian):  # type: ignore[misc]
    """In front of granian's server: sockets that outlive its workers. Linux: elsewhere SIGHUP replaces nothing."""

    def __init__(self, bind: Bind, reloads: Path | None, **options: Any) -> None:
        """Tell of each reload in `reloads`; without it SIGHUP is ignored, for apps of which there can be one only."""
        super().__init__("app", address=bind.host, port=bind.port, **options)
        self.main_loop_interrupt = Flag()
        self._bind = bind
        self._reloads = reloads
        self._told = Reloads(os.getpid())
        self._sockets: list[socket.socket] = []
        self._ready: dict[int, int] = {}

    def signal_handler_reload(self, *args: Any, **kwargs: Any) -> None:
        """SIGHUP."""
        if self._reloads is not None and self._sockets:
            super().signal_handler_reload(*args, **kwargs)

    def _init_shared_socket(self) -> None:
        super()._init_shared_socket()
        if self._reloads is None or sys.platform != "linux":
            return
        family = socket.AF_INET6 if ":" in self._bind.host else socket.AF_INET
        for _ in range(self.workers):
            one = socket.socket(family, socket.SOCK_STREAM)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind((self._bind.host, self._bind.port))
            self._sockets.append(one)
        self._claim = hold(self._reloads)
        self._tell()

    def _drop_shared_socket(self) -> None:
        super()._drop_shared_socket()
        for one in self._sockets:
            one.close()
        if self._reloads is not None:
            self._reloads.unlink(missing_ok=True)

    def _spawn_worker(self, idx: int, target: Any, callback_loader: Any) -> Any:
        if not self._sockets:
            return super()._spawn_worker(idx, target, callback_loader)
        from granian.net import SocketHolder

        others = [one for place, one in enumerate(self._sockets) if place != idx]
        if idx in self._ready:
            os.close(self._ready[idx])
        self._ready[idx], ready = os.pipe()
        self._ssp, self._shd = None, SocketHolder(self._sockets[idx].fileno(), False, self.backlog)
        worker = super()._spawn_worker(idx, target, partial(make_worker, callback_loader, others, ready))
        start = worker.start

        def start_and_let_go() -> None:
            start()
            os.close(ready)

        worker.start = start_and_let_go
        return worker

    def _respawn_workers(self, workers: Sequence[int], spawn_target: Any, target_loader: Any, delay: float = 0) -> None:
        self._told.tries += 1
        for idx in workers:
            new = self._spawn_worker(idx, spawn_target, target_loader)
            # Until it works, its end is not the server's.
            new.interrupt_by_parent = True
            new.start()
            if not self._is_ready(idx):
                new.kill()
                self._told.problem = "A new worker did not start; the old ones go on. The log says why."
                break
            new.interrupt_by_parent = False
            old, self.wrks[idx] = self.wrks[idx], new
            self._end(old)
        else:
            self._told.problem = ""
            self._told.count += 1
        self._tell()
        if self.interrupt_signal:
            # A reload begins by forgetting what woke the server, which may have been this.
            self.main_loop_interrupt.set()

    def _is_ready(self, idx: int) -> bool:
        """Wait until the new worker tells that it has its app; False when it ended, or it takes too long."""
        pipe, deadline = self._ready[idx], time.monotonic() + START_SECONDS
        try:
            while not self.interrupt_signal and time.monotonic() < deadline:
                if select.select([pipe], [], [], LOOK_SECONDS)[0]:
                    return os.read(pipe, 1) == b"1"
            return False
        finally:
            os.close(self._ready.pop(idx))

    def _end(self, old: Any) -> None:
        old.interrupt_by_parent = True
        os.kill(old.inner.pid, signal.SIGHUP)
        deadline = time.monotonic() + FAREWELL_SECONDS
        while time.monotonic() < deadline and not self.interrupt_signal:
            time.sleep(LOOK_SECONDS)
        old.terminate()
        old.join(self.workers_kill_timeout)
        if old.is_alive():
            old.kill()
            old.join()

    def _tell(self) -> None:
        if self._reloads is not None:
            tell(self._reloads, self._told)
