"""Servers that fork after the client was made, as they are: gunicorn, Celery's pool; and a process that is frozen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import thumbwheel

from tests.kafka_broker import free_port
from tests.waiting import eventually

from .stub import KEY, Answer, Stub
from .test_client import SDK
from .test_guides import programs

Begin = Callable[..., "subprocess.Popen[str]"]

APP = """
import os
import thumbwheel

client = thumbwheel.init(os.environ["THUMBWHEEL_URL"], os.environ["THUMBWHEEL_SECRET_KEY"], actor="app",
                         spool=os.environ.get("SPOOL"))
client.thumb("made-by-the-master", "c-1", "up")


def app(environ, start_response):
    client.thumb(environ["QUERY_STRING"], str(os.getpid()), "up")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


@pytest.fixture
def begin(tmp_path: Path, stub: Stub) -> Iterator[Begin]:
    """Starts programs in the test's folder, and ends them with all they forked."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        env = os.environ | {"PYTHONPATH": f"{tmp_path}:{SDK}", "PYTHONUNBUFFERED": "1", **environment}
        env |= {"THUMBWHEEL_URL": stub.url, "THUMBWHEEL_SECRET_KEY": KEY}
        with (tmp_path / "said.txt").open("a") as said:
            process = subprocess.Popen(
                [sys.executable, *arguments], cwd=tmp_path, env=env, text=True, start_new_session=True, stderr=said,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


class Gunicorn:
    """A site of three workers whose client was made before the fork."""

    def __init__(self, begin: Begin, folder: Path, *options: str, **environment: str) -> None:
        (folder / "feedback_site.py").write_text(APP)
        self.url = f"http://127.0.0.1:{free_port()}/"
        bind = self.url.removeprefix("http://").rstrip("/")
        self.process = begin(
            "-m",
            "gunicorn",
            "--preload",
            "--workers",
            "3",
            "--bind",
            bind,
            *options,
            "feedback_site:app",
            **environment,
        )
        eventually(self.up, 30)

    def up(self) -> bool:
        try:
            return bool(self.get("up"))
        except OSError:
            return False

    def get(self, what: str) -> int:
        """Have a worker make an event; return the worker's process id."""
        with urlopen(f"{self.url}?{what}", timeout=10) as answer:
            return int(answer.read())

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(30) == 0


def arrived(stub: Stub) -> Counter[str]:
    return Counter(event["interaction_id"] for event in stub.events)


def test_each_worker_of_gunicorn_sends_its_events_once_also_when_it_is_replaced(
    begin: Begin, stub: Stub, tmp_path: Path
) -> None:
    site = Gunicorn(begin, tmp_path, "--max-requests", "15")
    asked = [f"i-{number}" for number in range(120)]
    workers = {site.get(one) for one in asked}
    site.stop()
    assert len(workers) > 3, "workers were replaced"
    assert arrived(stub) == Counter([*asked, "made-by-the-master", "up"])
    assert {event["candidate_id"] for event in stub.events} == {"c-1", *map(str, {*workers, *_pids(stub, "up")})}


def _pids(stub: Stub, what: str) -> list[str]:
    return [event["candidate_id"] for event in stub.events if event["interaction_id"] == what]


def test_a_killed_worker_of_gunicorn_leaves_its_events_to_the_others(begin: Begin, stub: Stub, tmp_path: Path) -> None:
    stub.answer = lambda events: Answer(503, {"Retry-After": "300"})
    site = Gunicorn(begin, tmp_path, SPOOL=str(tmp_path / "spool"))
    asked = [f"i-{number}" for number in range(30)]
    killed = {site.get(one) for one in asked}
    # Each has been refused once, and told to wait: none has a request under way.
    eventually(
        lambda: killed <= {int(event["candidate_id"]) for event in stub.events if event["candidate_id"] != "c-1"}
    )
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    stub.answer = None
    stub.bodies.clear()
    # The workers that took their place take over with the first event they make.
    eventually(lambda: site.get("later") and set(asked) <= set(arrived(stub)), 30)
    assert {one: arrived(stub)[one] for one in asked} == dict.fromkeys(asked, 1)
    # What the master, still told to wait, leaves at its end goes when the site is started again.
    site.stop()
    assert "made-by-the-master" not in arrived(stub)
    again = thumbwheel.Client(stub.url, KEY, "app", spool=tmp_path / "spool")
    assert again.flush(20)
    again.shutdown()
    assert arrived(stub)["made-by-the-master"] == 1
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.slow
def test_celerys_pool_sends_each_task_once(begin: Begin, stub: Stub, tmp_path: Path) -> None:
    (tmp_path / "celery_guide.py").write_text(programs("python.md")["celery"], "utf-8")
    broker = {"CELERY_BROKER": f"sqla+sqlite:///{tmp_path}/broker.db"}
    worker = begin("-m", "celery", "-A", "celery_guide", "worker", "--pool", "prefork", "-c", "2", **broker)
    ids = [thumbwheel.uuid7() for _ in range(20)]
    stub.answers = [Answer(503, {"Retry-After": "0"})] * 2
    send = f"import celery_guide\nfor one in {ids!r}: celery_guide.thumb.delay(one, 'i-1', 'c-1', 'up', 'u-9')"
    assert begin("-W", "ignore", "-c", send, **broker).wait(60) == 0
    eventually(lambda: len({event["event_id"] for event in stub.events}) == 20, 60)
    worker.terminate()
    assert worker.wait(30) == 0
    assert {event["event_id"] for event in stub.events} == set(ids)
    assert len(stub.events) == 22, "two were refused and sent again"


LAMBDA = """
import json, sys
import lambda_guide
for line in sys.stdin:
    print(json.dumps(lambda_guide.handler({"body": line}, None)))
"""


def test_what_a_frozen_function_answered_for_has_arrived(begin: Begin, stub: Stub, tmp_path: Path) -> None:
    (tmp_path / "lambda_guide.py").write_text(programs("python.md")["lambda"], "utf-8")
    process = begin("-c", LAMBDA)
    assert process.stdin is not None and process.stdout is not None
    told: dict[str, Any] = {"interaction_id": "i-1", "candidate_id": "c-1", "value": "up", "user": "u-9"}
    for call in range(3):
        process.stdin.write(json.dumps(told) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        os.kill(process.pid, signal.SIGSTOP)
        assert '"statusCode": 202' in answer
        assert len(stub.events) == call + 1
        assert stub.events[-1]["event_id"] in answer
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGCONT)


CHILD = """
import logging, multiprocessing, os, sys, time
import thumbwheel

how = sys.argv[1]
client = thumbwheel.init(os.environ["THUMBWHEEL_URL"], os.environ["THUMBWHEEL_SECRET_KEY"], actor="app",
                         spool=os.environ.get("SPOOL"))


def work(name):
    client.thumb(name, "c-1", "up")
    client.thumb(name, "c-2", "up")


if __name__ == "__main__":
    children = multiprocessing.get_context(how)
    child = children.Process(target=work, args=("from-the-child",))
    child.start()
    child.join()
    client.thumb("from-the-parent", "c-1", "up")
"""


@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("spooled", [False, True], ids=["no spool", "spool"])
def test_a_multiprocessing_child_sends_what_waits_and_warns_of_being_terminated(
    begin: Begin, stub: Stub, tmp_path: Path, how: str, spooled: bool
) -> None:
    (tmp_path / "children.py").write_text(CHILD)
    kept = {"SPOOL": str(tmp_path / "spool")} if spooled else {}
    # The collector is slow: what the child made still waits when its work is done.
    stub.answers = [Answer(503, {"Retry-After": "0"})]
    assert begin("children.py", how, **kept).wait(60) == 0
    assert {name for name in arrived(stub) if name.startswith("from")} == {"from-the-child", "from-the-parent"}
    assert set(_pids(stub, "from-the-child")) == {"c-1", "c-2"}
    said = (tmp_path / "said.txt").read_text()
    assert said.count("multiprocessing child") == (0 if spooled else 1), said
