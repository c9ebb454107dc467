"""What waits outlasts the process that made it: `init(..., spool=...)`, with real processes, kills and disks."""

from __future__ import annotations

import json
import logging
import os
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from thumbwheel import AsyncClient, Client

from tests.waiting import eventually

from .stub import KEY, Answer, Stub
from .test_client import CHILD, SDK, THUMB, WARNINGS

Connect = Callable[..., Client]
AWAY = "http://127.0.0.1:9"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("thumbwheel.*"))


def away(stub: Stub) -> None:
    """Refuse everything, and keep those who ask from asking again soon."""
    stub.answer = lambda events: Answer(503, {"Retry-After": "300"})


def back(stub: Stub) -> None:
    """Answer again; forget what was refused meanwhile."""
    stub.bodies.clear()
    stub.answer = None


def begin(stub: Stub, folder: Path, code: str) -> subprocess.Popen[str]:
    """Start a program whose client spools into the folder; `say` tells us how far it is."""
    head = CHILD.format(sdk=str(SDK), url=stub.url, key=KEY).replace('"u-1")', f'"u-1", spool={str(folder)!r})')
    text = head + "say = lambda *words: print(*words, flush=True)\n" + code
    return subprocess.Popen([sys.executable, *WARNINGS, "-c", text], text=True, stdout=subprocess.PIPE)


def killed(stub: Stub, folder: Path, code: str) -> list[str]:
    """Run a program until it says which events it made, then SIGKILL it; return their ids."""
    with begin(stub, folder, code + "\ntime.sleep(60)") as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    return said.split()


MADE = """
ids = [client.thumb('i-1', f'c-{n}', 'up', comment='private words') for n in range(%d)]
while not client.stats().retries: time.sleep(0.01)
say(*ids)
"""


def arrived(stub: Stub) -> Counter[str]:
    return Counter(event["event_id"] for event in stub.events)


def test_what_a_killed_process_could_not_send_goes_when_it_starts_again(
    connect: Connect, stub: Stub, folder: Path
) -> None:
    away(stub)
    ids = killed(stub, folder, MADE % 250)
    assert len(ids) == 250
    back(stub)
    client = connect(spool=folder)
    assert client.flush(20)
    assert arrived(stub) == Counter(ids)
    assert [event["candidate_id"] for event in stub.events] == [f"c-{n}" for n in range(250)]
    assert client.dropped == {}
    assert files(folder) == []


def test_only_what_was_not_stored_goes_again(connect: Connect, stub: Stub, folder: Path) -> None:
    def answer(event: dict[str, Any]) -> dict[str, Any]:
        return {"status": "retry" if event["candidate_id"] == "c-7" else "accepted"}

    stub.answer = lambda events: Answer(207, {"Retry-After": "300"}, answer)
    ids = killed(stub, folder, MADE % 20)
    back(stub)
    assert connect(spool=folder).flush(20)
    assert arrived(stub) == Counter([ids[7]])


def test_shutdown_leaves_the_rest_in_the_spool_and_counts_nothing_as_dropped(
    connect: Connect, stub: Stub, folder: Path
) -> None:
    away(stub)
    first = connect(spool=folder)
    sent = first.thumb(**THUMB)
    assert first.shutdown(0.1) is False
    assert first.dropped == {}
    back(stub)
    second = connect(spool=folder)
    assert second.flush(20)
    assert arrived(stub) == Counter([sent])
    second.shutdown()
    assert files(folder) == []


def test_a_running_process_takes_over_from_one_that_died(
    connect: Connect, stub: Stub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thumbwheel.delivery.outbox.SWEEP_SECONDS", 0.1)
    client = connect(spool=folder)
    client.thumb(**THUMB)
    assert client.flush()
    away(stub)
    ids = killed(stub, folder, MADE % 5)
    back(stub)
    assert eventually(lambda: len(stub.events) == 5)
    assert arrived(stub) == Counter(ids)


def test_several_processes_share_a_folder_and_each_event_goes_once(stub: Stub, folder: Path) -> None:
    away(stub)
    ids = [one for _ in range(3) for one in killed(stub, folder, MADE % 40)]
    back(stub)
    stub.answer = lambda events: time.sleep(0.05) or Answer()  # type: ignore[func-returns-value]
    code = "sent = [client.thumb('i-1', 'c-1', 'up') for n in range(40)]\nsay(*sent, client.flush(30))"
    running = [begin(stub, folder, code) for _ in range(4)]
    for process in running:
        said, _ = process.communicate(timeout=60)
        *made, flushed = said.split()
        assert (process.returncode, flushed) == (0, "True")
        ids += made
    assert arrived(stub) == Counter(ids)
    assert files(folder) == []


def test_a_forked_child_sends_its_own_and_leaves_the_parents_to_the_parent(stub: Stub, folder: Path) -> None:
    away(stub)
    code = """
mine = [client.thumb('i-1', 'parent', 'up') for n in range(5)]
while not client.stats().retries: time.sleep(0.01)
pid = os.fork()
if pid == 0:
    client.thumb('i-1', 'child', 'up')
    while not client.stats().retries: time.sleep(0.01)
    os.kill(os.getpid(), 9)
os.waitpid(pid, 0)
say('forked')
sys.stdin.readline()
"""
    with begin(stub, folder, code) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "forked\n"
        back(stub)
        other = Client(stub.url, KEY, "u-2", spool=folder)
        assert other.flush(20)
        assert [event["candidate_id"] for event in stub.events if event["candidate_id"] == "child"] == ["child"]
        parent.kill()
    other.shutdown()
    last = Client(stub.url, KEY, "u-3", spool=folder)
    assert last.flush(20)
    last.shutdown()
    assert Counter(event["candidate_id"] for event in stub.events) == {"child": 1, "parent": 5}


def test_damaged_and_truncated_files_cost_what_they_damage_and_are_counted_and_told(
    connect: Connect, stub: Stub, folder: Path
) -> None:
    away(stub)
    killed(stub, folder, MADE % 10)
    (path,) = files(folder)
    lines = path.read_bytes().split(b"\n")
    lines[2] = lines[2].replace(b"private", b"publics")
    path.write_bytes(b"\n".join(lines)[:-40])
    (folder / path.name.replace(path.name[-4:], "0000")).write_bytes(b"\x00" * 500)
    back(stub)
    client = connect(spool=folder)
    assert client.flush(20)
    assert sorted(event["candidate_id"] for event in stub.events) == [f"c-{n}" for n in (0, 1, 3, 4, 5, 6, 7, 8)]
    assert client.dropped == {"spool_unreadable": 3}
    client.thumb(**THUMB)
    assert client.flush()
    client.shutdown()
    told = [body["dropped"]["counts"] for body in stub.bodies if "dropped" in body]
    assert sum(counts["spool_unreadable"] for counts in told) == 3
    assert files(folder) == []


def test_files_of_another_release_or_key_are_left_alone(connect: Connect, stub: Stub, folder: Path) -> None:
    away(stub)
    killed(stub, folder, MADE % 3)
    (path,) = files(folder)
    later = folder / path.name.replace("thumbwheel.1.", "thumbwheel.2.")
    later.write_bytes(b"whatever comes")
    back(stub)
    client = connect(spool=folder, key="tw_sec_another")
    assert client.flush()
    client.shutdown()
    assert stub.bodies == []
    assert files(folder) == [path, later]
    assert connect(spool=folder).flush(20)
    assert len(stub.events) == 3
    assert later.read_bytes() == b"whatever comes"


def test_what_waits_is_bounded_in_events_and_bytes_and_so_is_the_file(connect: Connect, folder: Path) -> None:
    client = connect(url=AWAY, spool=folder, max_events=50)
    for _ in range(3000):
        client.thumb(**THUMB, comment="x" * 200)
    assert client.dropped == {"queue_full": 2950}
    (path,) = files(folder)
    assert path.stat().st_size < 256 * 1024 + 3 * 50 * 1024
    client.shutdown(0)
    assert client.dropped == {"queue_full": 2950}
    small = connect(url=AWAY, spool=folder, max_bytes=1000)
    assert small.thumb(**THUMB, comment="x" * 2000) is None
    assert small.dropped["queue_full"] == 1


def test_what_dead_processes_left_is_bounded_too_and_the_oldest_goes(
    connect: Connect, stub: Stub, folder: Path
) -> None:
    away(stub)
    left = [killed(stub, folder, MADE % 15) for _ in range(4)]
    back(stub)
    client = connect(spool=folder, max_events=4)  # Forty are kept of what was left behind.
    assert client.flush(20)
    assert client.dropped == {"spool_full": 30}
    assert arrived(stub) == Counter(left[2] + left[3])


def test_what_a_killed_process_gave_up_is_told_once_by_whoever_comes_next(
    connect: Connect, stub: Stub, folder: Path
) -> None:
    away(stub)
    code = MADE.replace("say(*ids)", "client.thumb('i-1', 'c-1', 'up', comment='x' * 300_000); say(*ids)")
    for _ in range(2):
        killed(stub, folder, code % 2)
    back(stub)
    client = connect(spool=folder)
    assert client.flush(20)
    for _ in range(2):
        client.thumb(**THUMB)
        assert client.flush()
    told = {body["dropped"]["event_id"]: body["dropped"]["counts"] for body in stub.bodies if "dropped" in body}
    assert list(told.values()) == [{"too_large": 1}] * 2
    client.shutdown()
    assert files(folder) == []


def test_only_the_owner_reads_it_and_nothing_of_it_is_logged(
    connect: Connect, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = os.umask(0)
    try:
        client = connect(url=AWAY, spool=folder)
        client.thumb(**THUMB, comment="private words")
    finally:
        os.umask(before)
    (path,) = files(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"private words" in path.read_bytes() and KEY.encode() not in path.read_bytes()
    client.shutdown(0)
    path.write_bytes(path.read_bytes().replace(b"private", b"publics"))
    connect(url=AWAY, spool=folder).flush(5)
    assert "1 event(s) dropped: spool_unreadable" in caplog.text
    assert "words" not in caplog.text and KEY not in caplog.text


FULL = """
import resource, logging
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
ids = [client.thumb('i-1', f'c-{n}', 'up') for n in range(40)]
client.shutdown(0.2)
say(json.dumps({'ids': ids, 'dropped': client.dropped}))
"""


def test_a_full_disk_breaks_nothing_and_what_it_did_not_take_is_counted(
    connect: Connect, stub: Stub, folder: Path
) -> None:
    away(stub)
    with begin(stub, folder, "import json" + FULL) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.read())
    assert process.returncode == 0
    assert all(told["ids"])
    back(stub)
    client = connect(spool=folder)
    assert client.flush(20)
    assert 0 < len(stub.events) < 40
    assert len(stub.events) + told["dropped"]["shutdown"] == 40
    assert client.dropped == {}


def test_without_consent_nothing_left_goes_and_taking_it_back_forgets_it(
    connect: Connect, stub: Stub, folder: Path
) -> None:
    away(stub)
    killed(stub, folder, MADE % 3)
    back(stub)
    client = connect(spool=folder, consent="required")
    assert client.flush()
    assert stub.bodies == [] and len(files(folder)) == 1
    client.opt_in()
    assert client.flush(20)
    assert len(stub.events) == 3
    away(stub)
    killed(stub, folder, MADE % 3)
    client.thumb(**THUMB)
    back(stub)
    other = connect(spool=folder, consent="required")
    other.opt_out()
    assert other.dropped == {"consent": 3}


@pytest.mark.parametrize("wrong", [{"spool": "/dev/null/x"}, {"spool": 7}, {"spool": "/proc/x"}, {"sync": True}])
def test_a_folder_that_cannot_hold_files_is_named_when_the_client_is_made(folder: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="thumbwheel: spool"):
        Client(**{"url": AWAY, "key": KEY, "spool": folder} | wrong)
    with pytest.raises(ValueError, match="thumbwheel: spool"):
        AsyncClient(**{"url": AWAY, "key": KEY, "spool": folder} | wrong)
