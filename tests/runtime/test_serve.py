"""Serving: requests in flight are answered at SIGTERM, workers end with their parent, a taken port is named."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contract.errors import SettingsError
from runtime.serve import check_port
from runtime.settings import Bind
from tests.hostile import http2_posts_without_bodies, status_of

pytest.importorskip("granian")
REPOSITORY = Path(__file__).parents[2]
SERVICE = """
import os, sys, time
from functools import partial
from runtime.serve import at_worker_exit, serve
from runtime.settings import Bind

def make(folder):
    open(f"{folder}/worker-{os.getpid()}", "w").close()
    at_worker_exit(lambda: open(f"{folder}/closed", "w").write(str(os.path.exists(f"{folder}/answered"))))
    def app(environ, start_response):
        if environ["REQUEST_METHOD"] == "POST":
            environ["wsgi.input"].read()
        if environ["PATH_INFO"] == "/slow":
            open(f"{folder}/arrived", "w").close()
            time.sleep(1.5)
            open(f"{folder}/answered", "w").close()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"done"]
    return app

if __name__ == "__main__":
    serve(partial(make, sys.argv[2]), Bind("127.0.0.1", int(sys.argv[1])), workers=int(sys.argv[3]), service="test")
"""


class Service:
    def __init__(self, port: int, folder: Path, workers: int) -> None:
        self.port = port
        self.url, self.folder = f"http://127.0.0.1:{port}", folder
        program = folder / "service.py"
        program.write_text(SERVICE)
        self.process = subprocess.Popen(
            [sys.executable, str(program), str(port), str(folder), str(workers)],
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, cwd=folder,
        )  # fmt: skip

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            body: bytes = answer.read()
            return body

    def workers(self) -> list[int]:
        return [int(file.name.split("-")[1]) for file in self.folder.glob("worker-*")]


@pytest.fixture
def start(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[..., Service]]:
    services: list[Service] = []

    def begin(workers: int = 1) -> Service:
        service = Service(free_port(), tmp_path, workers)
        services.append(service)
        wait_until(lambda: len(service.workers()) == workers and answers(service))
        return service

    yield begin
    for service in services:
        service.process.kill()
        service.process.wait()


def answers(service: Service) -> bool:
    try:
        return service.get("/") == b"done"
    except OSError:
        return False


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_request_in_flight_at_sigterm_is_answered_then_the_worker_closes(start: Callable[..., Service]) -> None:
    service = start()
    bodies: list[bytes] = []
    client = threading.Thread(target=lambda: bodies.append(service.get("/slow")))
    client.start()
    wait_until((service.folder / "arrived").exists)
    service.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert service.process.wait(15) == 0
    assert time.monotonic() - began < 10.0
    client.join(10)
    assert bodies == [b"done"]
    # What the app opened was closed after its last request.
    assert (service.folder / "closed").read_text() == "True"


def test_a_terminal_that_closes_replaces_no_worker_of_a_service_of_which_there_is_one(
    start: Callable[..., Service],
) -> None:
    service = start()
    before = service.workers()
    service.process.send_signal(signal.SIGHUP)
    assert service.get("/") == b"done"
    service.process.terminate()
    assert service.process.wait(15) == 0
    assert service.workers() == before


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("who", ["server", "worker"])
def test_a_signal_that_another_thread_took_is_heeded(start: Callable[..., Service], who: str) -> None:
    service = start()
    pid = service.process.pid if who == "server" else service.workers()[0]
    others = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir() if int(task.name) != pid]
    ctypes.CDLL(None).tgkill(pid, others[0], signal.SIGTERM)
    # Without its worker the server ends too, and says so.
    assert service.process.wait(5) == (0 if who == "server" else 1)


def test_http2_heads_without_bodies_hold_no_thread(start: Callable[..., Service]) -> None:
    service = start()
    with http2_posts_without_bodies(service.port, "/"):
        assert status_of(service.port, "/", seconds=5) == 200
    assert status_of(service.port, "/", seconds=5) == 200


def test_each_worker_makes_its_own_app(start: Callable[..., Service]) -> None:
    service = start(workers=2)
    assert len(set(service.workers())) == 2 and service.process.pid not in service.workers()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_workers_end_when_their_parent_is_killed(start: Callable[..., Service]) -> None:
    service = start(workers=2)
    assert all(alive(pid) for pid in service.workers())
    service.process.kill()
    service.process.wait()
    wait_until(lambda: not any(alive(pid) for pid in service.workers()), 12.0)
    with pytest.raises(OSError):
        service.get("/")


# Starts a service and is killed before the worker has looked at who its parent is, or while it makes its app.
ORPHANED = """
import os, signal, sys, time
from multiprocessing import process
import service

def late(begin, seconds):
    def begin_late(self, *arguments):
        time.sleep(seconds)
        return begin(self, *arguments)
    return begin_late

def make():
    time.sleep(float(sys.argv[3]))
    return service.make(sys.argv[2])

process.BaseProcess.run = late(process.BaseProcess.run, float(sys.argv[4]))
service.serve(make, service.Bind("127.0.0.1", int(sys.argv[1])), service="test")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize(("making", "beginning"), [(0.0, 3.0), (3.0, 0.0)], ids=["before it looks", "while it loads"])
def test_a_worker_whose_parent_died_at_once_ends(
    tmp_path: Path, free_port: Callable[[], int], making: float, beginning: float
) -> None:
    port = free_port()
    (tmp_path / "service.py").write_text(SERVICE)
    (tmp_path / "orphaned.py").write_text(ORPHANED)
    parent = subprocess.Popen(
        [sys.executable, "orphaned.py", str(port), str(tmp_path), str(making), str(beginning)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, cwd=tmp_path, start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: len(workers_of(parent.pid)) == 1)
    (worker,) = workers_of(parent.pid)
    time.sleep(1)
    parent.kill()
    parent.wait()
    try:
        wait_until(lambda: not alive(worker), 12.0)
    finally:
        if alive(worker):
            os.kill(worker, signal.SIGKILL)
    check_port(Bind("127.0.0.1", port), "THUMBWHEEL_COLLECTOR_BIND")


def workers_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_port_in_use_is_named_with_its_setting(free_port: Callable[[], int]) -> None:
    port = free_port()
    check_port(Bind("127.0.0.1", port), "THUMBWHEEL_COLLECTOR_BIND")
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(SettingsError, match=str(port)) as caught:
            check_port(Bind("127.0.0.1", port), "THUMBWHEEL_COLLECTOR_BIND")
    assert "THUMBWHEEL_COLLECTOR_BIND" in caught.value.hint


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(SettingsError, match=r"192\.0\.2\.1"):
        check_port(Bind("192.0.2.1", 8700), "THUMBWHEEL_COLLECTOR_BIND")
