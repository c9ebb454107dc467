"""How every HTTP service of ours is served: granian, one WSGI interface, app factories called in the worker.

What an app opens (log, control store, threads) is opened by its factory, after the fork, and closed through
`at_worker_exit`. A worker ends when its parent does. Bodies have deadlines in every app (`runtime.deadline`).
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import util
from pathlib import Path
from typing import Any

from contract.errors import SettingsError
from runtime.deadline import Deadlines
from runtime.settings import Bind
from runtime.signals import wake_main_thread
from runtime.workers import KeepsSockets

PR_SET_PDEATHSIG = 1
# A worker's connections: the server counts idle ones too (its `backpressure`), and browsers keep theirs for a while.
CONNECTIONS = 4096
FILES_BESIDE = 256
# What the server reads ahead of one connection, and so the longest head of a request.
MAX_HEAD_BYTES = 64 * 1024


def at_worker_exit(close: Callable[[], Any], priority: int = 10) -> None:
    """Call `close` when this worker process ends, after its last request; higher priorities first."""
    util.Finalize(None, close, exitpriority=priority)


def die_with_parent(parent: int) -> None:
    """Have this process told to stop (SIGTERM) when its parent dies, however that happens.

    `parent` is the id that the parent told: one that is asked for here may already be that of whoever took over an
    orphan. Until somebody handles SIGTERM it ends the process: a handler that came with the fork is the parent's.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
        return
    threading.Thread(target=_watch_parent, args=(parent,), name="parent-watch", daemon=True).start()


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)


def check_port(bind: Bind, setting: str) -> None:
    """Raise SettingsError that names the port when something else listens there."""
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind.host, bind.port))
        except OSError as error:
            raise SettingsError(
                "port_in_use", f"Port {bind.port} on {bind.host} cannot be used: {error.strerror}.",
                f"Stop what listens there, or set {setting}.", setting,
            ) from error  # fmt: skip


def _load(factory: Callable[[], Any], port: int, threads: int, parent: int) -> Any:
    die_with_parent(parent)
    wake_main_thread()
    return Deadlines(factory(), port, threads)


def connections() -> int:
    """Return how many connections a worker may hold, after asking for as many open files as this process may have.

    Beside them the worker has files of its own open.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return CONNECTIONS if soft == resource.RLIM_INFINITY else max(64, min(CONNECTIONS, soft - FILES_BESIDE))


def serve(
    factory: Callable[[], Any], bind: Bind, *, service: str, workers: int = 1, threads: int = 16, backlog: int = 1024,
    reloads: Path | None = None,
) -> None:  # fmt: skip
    """Serve the WSGI app that `factory` makes in each worker; returns after SIGTERM or SIGINT.

    `threads` is how many requests a worker handles at once; the other connections, up to CONNECTIONS, have at most one
    request waiting each, and more wait in the backlog. Requests in flight at SIGTERM are answered first. With `reloads`
    SIGHUP replaces the workers while requests are served (`runtime.workers`), and that file says how it went.
    """
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels

    class Server(KeepsSockets, Granian):  # type: ignore[misc]
        """Granian, whose workers can be replaced."""

    lines = {"()": "runtime.logs.JsonLines", "service": service}
    server = Server(
        bind, reloads, interface=Interfaces.WSGI, workers=workers, http=HTTPModes.http1,
        blocking_threads=threads, backlog=backlog, backpressure=connections(), websockets=False,
        http1_settings=HTTP1Settings(header_read_timeout=10_000, max_buffer_size=MAX_HEAD_BYTES),
        workers_kill_timeout=8,
        log_access=False, log_level=LogLevels.error, log_dictconfig={"formatters": {"generic": lines, "access": lines}},
        respawn_failed_workers=False,
    )  # fmt: skip
    server.serve(target_loader=partial(_load, factory, bind.port, threads, os.getpid()), wrap_loader=False)
