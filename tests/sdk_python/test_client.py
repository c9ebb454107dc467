"""What a host program sees of the Python SDK: it never raises, never blocks, counts what it drops, survives forks."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import thumbwheel
from thumbwheel import Client, Problem, Result
from thumbwheel.delivery.sender import backoff
from thumbwheel.delivery.transport import retry_after

from contract.events import decode_event
from contract.signing import signing_key, verify_candidate
from tests.waiting import eventually

from .stub import KEY, Answer, Stub
from .test_conformance import python_of

SDK = Path(__file__).parents[2] / "sdk" / "python"
Connect = Callable[..., Client]
THUMB: dict[str, Any] = {"interaction_id": "i-1", "candidate_id": "c-1", "value": "up"}


def test_a_call_returns_at_once_while_the_collector_hangs(connect: Connect, stub: Stub) -> None:
    hold = threading.Event()
    stub.answers.append(Answer(wait=hold))
    client = connect()
    began = time.monotonic()
    ids = [client.thumb(**THUMB) for _ in range(50)]
    assert time.monotonic() - began < 0.5
    hold.set()
    assert client.flush()
    assert [event["event_id"] for event in stub.events] == ids
    assert len(stub.bodies) <= 3, "what waited left in batches"


def test_the_key_travels_in_the_header_and_the_time_of_sending_in_the_body(connect: Connect, stub: Stub) -> None:
    client = connect()
    client.thumb(**THUMB)
    assert client.flush()
    assert stub.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert "key" not in stub.bodies[0]
    assert stub.bodies[0]["sent_at"] >= stub.events[0]["occurred_at"]


def test_every_event_it_makes_is_one_the_collector_takes(connect: Connect, stub: Stub) -> None:
    client = connect()
    when = datetime(2026, 1, 31, 13, 0, tzinfo=timezone(timedelta(hours=1)))
    client.interaction("i-1", [{"role": "user", "content": "Hi"}], [{"candidate_id": "c-1", "content": "Hello"}])
    client.thumb("i-1", "c-1", "down", reasons=("wrong",), comment="no", labels={"b", "a"}, occurred_at=when)
    client.choice("i-1", ["c-1", "c-2"], "none")
    client.pick("i-1", ["c-1", "c-2"], "chosen", "c-2", edited_text="x", sent=True, dwell_ms=1)
    client.edit("i-1", "c-1", "Better.")
    client.annotate("i-1", {"tone/polite": True, "flaws": ("cold",)}, candidate_id="c-1", label_versions={"flaws": 2})
    client.annotate(
        "i-1", ranking=["c-1", ["c-2", "c-3"]], preference={"outcome": "chosen", "chosen": "c-1", "strength": 3},
        spans=[{"path": "wrong", "candidate_id": "c-1", "start": 0, "end": 2, "text": "Hi"}], task_id="t-1", round=1,
    )  # fmt: skip
    client.retract("i-1", thumbwheel.uuid7())
    assert client.flush()
    assert [decode_event(event).type for event in stub.events] == [
        "interaction", "thumb", "choice", "pick", "edit", "annotation", "annotation", "retract",
    ]  # fmt: skip
    assert stub.events[1]["occurred_at"] == "2026-01-31T12:00:00Z"
    assert stub.events[1]["labels"] == ["a", "b"]


def test_wrong_arguments_and_values_never_raise_and_are_counted(connect: Connect) -> None:
    problems: list[Problem] = []
    client = connect(on_error=lambda problem, event_id: problems.append(problem))
    assert client.thumb() is None  # type: ignore[call-arg]
    assert client.thumb(**THUMB, context={"x": object()}) is None
    assert client.thumb(**THUMB, context={"x": float("nan")}) is None
    assert client.thumb(**THUMB | {"comment": b"bytes"}) is None
    loop: list[Any] = []
    loop.append(loop)
    assert client.thumb(**THUMB, context={"x": loop}) is None
    assert client.dropped == {"failed": 1, "invalid_event": 4}
    assert len(problems) == 5


def test_a_callback_that_fails_breaks_nothing(connect: Connect, stub: Stub) -> None:
    def fail(*args: Any) -> Any:
        raise RuntimeError("host bug")

    client = connect(before_send=fail, on_error=fail)
    assert client.thumb(**THUMB) is None
    assert client.dropped == {"failed": 1}
    assert stub.bodies == []


def test_before_send_may_change_or_drop_an_event(connect: Connect, stub: Stub) -> None:
    def mask(event: dict[str, Any]) -> dict[str, Any] | None:
        return None if event.get("comment") == "drop me" else event | {"comment": "[masked]"}

    client = connect(before_send=mask)
    assert client.thumb(**THUMB, comment="drop me") is None
    client.thumb(**THUMB, comment="call 555-1234")
    assert client.flush()
    assert [event["comment"] for event in stub.events] == ["[masked]"]
    assert client.dropped == {"before_send": 1}


def test_what_the_host_changes_after_the_call_does_not_change_the_event(connect: Connect, stub: Stub) -> None:
    client, shown = connect(), ["a", "b"]
    client.choice("i-1", shown, "tie")
    shown.clear()
    assert client.flush()
    assert stub.events[0]["shown"] == ["a", "b"]


def test_a_full_queue_drops_the_oldest_and_counts_it(connect: Connect, stub: Stub) -> None:
    hold = threading.Event()
    stub.answers.append(Answer(wait=hold))
    client = connect(max_events=5)
    client.thumb(**THUMB)
    eventually(lambda: stub.bodies)
    ids = [client.thumb(**THUMB) for _ in range(10)]
    assert client.dropped == {"queue_full": 6}
    hold.set()
    assert client.flush()
    assert [event["event_id"] for event in stub.events[1:]] == ids[-4:]


def test_the_queue_is_bounded_in_bytes_too(connect: Connect, stub: Stub) -> None:
    client = connect(max_bytes=1000)
    assert client.thumb(**THUMB, comment="x" * 2000) is None
    assert client.dropped == {"queue_full": 1}


@pytest.mark.usefixtures("no_backoff")
def test_with_the_collector_away_events_wait_and_go_when_it_is_back(connect: Connect, stub: Stub) -> None:
    stub.answers += [Answer(503)] * 5
    client = connect()
    ids = [client.thumb(**THUMB) for _ in range(20)]
    assert eventually(lambda: client.stats().accepted == 20)
    assert client.stats().retries >= 1
    assert set(ids) == {event["event_id"] for event in stub.events}
    assert client.dropped == {}


def test_flush_returns_within_its_time_when_nobody_answers(connect: Connect) -> None:
    client = connect(url="http://127.0.0.1:9")
    client.thumb(**THUMB)
    began = time.monotonic()
    assert client.flush(0.3) is False
    assert time.monotonic() - began < 1
    assert client.stats().waiting == 1
    assert client.shutdown(0.1) is False
    assert client.dropped == {"shutdown": 1}
    assert client.thumb(**THUMB) is None
    assert client.dropped == {"shutdown": 1, "closed": 1}


def test_consent_can_be_given_and_taken_back(connect: Connect, stub: Stub) -> None:
    client = connect(consent="required")
    client.thumb(**THUMB)
    client.opt_in()
    kept = client.thumb(**THUMB)
    assert client.flush()
    client.opt_out()
    client.thumb(**THUMB)
    assert client.flush()
    assert [event["event_id"] for event in stub.events] == [kept]
    assert client.dropped == {"consent": 2}


def test_logs_hold_reasons_and_no_content(connect: Connect, stub: Stub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stub.answers.append(Answer(400, body='{"error": {"code": "invalid_body", "message": "private words", "hint": ""}}'))
    client = connect()
    client.thumb(**THUMB, comment="private words")
    assert client.flush()
    assert "1 event(s) dropped: invalid_body" in caplog.text
    assert "private" not in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "collector:8700"}, {"url": None}, {"url": "ftp://x"}, {"key": "sk-123"}, {"key": None},
        {"key": "tw_sec_a\r\nX: y"}, {"actor": 7}, {"consent": "maybe"}, {"path": "v1"}, {"max_events": 0},
        {"timeout": 0},
    ],
)  # fmt: skip
def test_wrong_settings_are_named_when_the_client_is_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="thumbwheel: "):
        Client(**{"url": "http://127.0.0.1:1", "key": KEY} | wrong)  # type: ignore[arg-type]


# -- sync


def test_sync_says_what_became_of_each_event(connect: Connect, stub: Stub) -> None:
    client = connect(sync=True)
    stub.answers += [
        Answer(),
        Answer(207, results=lambda e: {"status": "rejected", "error": {"code": "c", "message": "m", "field": "value"}}),
        Answer(401, body='{"error": {"code": "invalid_key", "message": "m", "hint": "h"}}'),
    ]
    first, second, third = (client.thumb(**THUMB) for _ in range(3))
    assert isinstance(first, Result) and isinstance(second, Result) and isinstance(third, Result)
    assert (first.ok, first.status, first.event_id) == (True, "accepted", stub.events[0]["event_id"])
    assert (second.ok, second.status, second.error) == (False, "rejected", Problem("c", "m", "", "value"))
    assert (third.status, third.error) == ("dropped", Problem("invalid_key", "m", "h"))
    assert client.thumb(**THUMB | {"actor": {}}) == Result(None, "dropped", Problem(
        "actor", "The event names no actor.", "Pass actor to init() or to the call."))  # fmt: skip
    assert client.stats().accepted == 1


@pytest.mark.usefixtures("no_backoff")
def test_sync_tries_again_under_the_same_id_and_gives_up_in_time(connect: Connect, stub: Stub) -> None:
    client = connect(sync=True, timeout=0.5)
    stub.answers += [Answer(503), Answer(cut=True), Answer()]
    sent = client.thumb(**THUMB)
    assert isinstance(sent, Result) and sent.ok
    assert {event["event_id"] for event in stub.events} == {sent.event_id}
    stub.answer = lambda events: Answer(503, {"Retry-After": "60"})
    began = time.monotonic()
    sent = client.thumb(**THUMB)
    assert isinstance(sent, Result) and sent.status == "retry"
    assert time.monotonic() - began < 1


# -- processes

CHILD = """
import sys, os, time
sys.path.insert(0, {sdk!r})
import thumbwheel
client = thumbwheel.init({url!r}, {key!r}, actor="u-1")
"""


# All are errors but what newer Pythons deprecate: a fork beside threads is what is tested.
WARNINGS = ("-W", "error", "-W", "ignore::DeprecationWarning")


def run(
    stub: Stub, code: str, python: str = sys.executable, url: str | None = None
) -> subprocess.CompletedProcess[str]:
    text = CHILD.format(sdk=str(SDK), url=url or stub.url, key=KEY) + code
    return subprocess.run([python, *WARNINGS, "-c", text], capture_output=True, text=True, timeout=30)


def test_what_waits_at_exit_is_sent(stub: Stub) -> None:
    done = run(stub, "for n in range(300): client.thumb('i-1', 'c-1', 'up')")
    assert (done.returncode, done.stderr) == (0, "")
    assert len({event["event_id"] for event in stub.events}) == 300


def test_exit_waits_no_longer_than_its_deadline(stub: Stub) -> None:
    began = time.monotonic()
    done = run(stub, "client.thumb('i-1', 'c-1', 'up')", url="http://127.0.0.1:9")
    assert done.returncode == 0
    assert time.monotonic() - began < 4
    assert done.stderr == "1 event(s) dropped: shutdown\n"


def test_a_forked_child_sends_its_own_events_and_not_its_parents(stub: Stub) -> None:
    done = run(stub, """
client.thumb('i-1', 'parent', 'up')
client.flush()
client.thumb('i-1', 'parent', 'up')
pids = []
for n in range(3):
    pid = os.fork()
    if pid == 0:
        client.thumb('i-1', 'child', 'up')
        ok = client.flush()
        os._exit(0 if ok and client.stats().accepted == 1 else 1)
    pids.append(pid)
assert all(os.waitpid(pid, 0)[1] == 0 for pid in pids)
client.thumb('i-1', 'parent', 'up')
""")  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = [event["candidate_id"] for event in stub.events]
    assert (names.count("parent"), names.count("child")) == (3, 3)
    assert len({event["event_id"] for event in stub.events}) == 6


def test_a_client_made_before_a_prefork_server_forks_works_in_each_worker(stub: Stub) -> None:
    done = run(stub, """
import threading
stop = threading.Event()
def busy():
    while not stop.is_set(): client.thumb('i-1', 'parent', 'up'); time.sleep(0.001)
threading.Thread(target=busy).start()
for n in range(20):
    pid = os.fork()
    if pid == 0:
        client.thumb('i-1', 'child', 'up')
        os._exit(0 if client.flush(10) else 1)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
""")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [event["candidate_id"] for event in stub.events].count("child") == 20


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13"])
def test_it_runs_on_other_pythons(stub: Stub, version: str) -> None:
    done = run(
        stub, "thumbwheel.thumb('i-1', 'c-1', 'up'); assert thumbwheel.flush(); client.choice('i', 'ab', 'tie')",
        python_of(version),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(stub.events) == 2


def test_without_init_the_module_does_nothing_and_says_so(caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    monkeypatch.setattr(thumbwheel, "_client", None)
    assert thumbwheel.thumb(**THUMB) is None
    assert thumbwheel.flush()
    assert "init() was not called" in caplog.text


def test_the_module_takes_consent_for_the_latest_init(stub: Stub) -> None:
    thumbwheel.init(stub.url, KEY, actor="u-1", consent="required")
    assert thumbwheel.thumb(**THUMB) is None
    thumbwheel.opt_in()
    kept = thumbwheel.thumb(**THUMB)
    assert thumbwheel.flush()
    thumbwheel.opt_out()
    assert thumbwheel.thumb(**THUMB) is None
    assert [event["event_id"] for event in stub.events] == [kept]
    thumbwheel.shutdown()


def test_the_module_has_every_call_that_sends(stub: Stub) -> None:
    thumbwheel.init(stub.url, KEY, actor="u-1")
    thumbwheel.interaction("i-1", [{"role": "user", "content": "Hi"}], [{"candidate_id": "c-1", "content": "Hello"}])
    thumbwheel.thumb(**THUMB)
    thumbwheel.choice("i-1", ["c-1", "c-2"], "tie")
    thumbwheel.pick("i-1", ["c-1", "c-2"], "none")
    thumbwheel.edit("i-1", "c-1", "Better.")
    thumbwheel.annotate("i-1", {"tone/polite": True})
    thumbwheel.retract("i-1", thumbwheel.uuid7())
    assert thumbwheel.flush()
    thumbwheel.shutdown()
    sent = [event["type"] for event in stub.events]
    assert sent == ["interaction", "thumb", "choice", "pick", "edit", "annotation", "retract"]


def test_a_kept_connection_that_was_closed_meanwhile_is_opened_anew(connect: Connect) -> None:
    first, second = Stub(), None
    client = connect(url=first.url, sync=True, timeout=2.0)
    assert client.thumb(**THUMB).ok  # type: ignore[union-attr]
    port = int(first.url.rsplit(":", 1)[1])
    first.stop()
    client._transport._local.connection.sock.shutdown(2)
    second = Stub()
    client._transport._url = client._transport._url._replace(netloc=second.url.removeprefix("http://"))
    assert port and client.thumb(**THUMB).ok  # type: ignore[union-attr]
    second.stop()


# -- small parts


def test_signed_ids_verify_as_the_collector_verifies_them(connect: Connect) -> None:
    client = connect(key_id="k1", project="shop")
    candidate = client.sign("i-1")

    def find(project: str, key_id: str) -> bytes | None:
        return signing_key(KEY) if (project, key_id) == ("shop", "k1") else None

    assert verify_candidate(find, "shop", "i-1", candidate, "u-1")
    assert not verify_candidate(find, "shop", "i-2", candidate, "u-1")
    assert client.sign("i-1") != candidate
    assert verify_candidate(find, "shop", "i-1", thumbwheel.sign(KEY, "k1", "i-1", "shop"), "u-1")
    for issued in (client.sign("i-1", "agent-7"), thumbwheel.sign(KEY, "k1", "i-1", "shop", "agent-7")):
        assert verify_candidate(find, "shop", "i-1", issued, "agent-7")
        assert not verify_candidate(find, "shop", "i-1", issued, "agent-8")


def test_without_a_key_id_a_candidate_id_is_unsigned_and_the_host_is_told(connect: Connect) -> None:
    problems: list[str] = []
    client = connect(on_error=lambda problem, event_id: problems.append(problem.code))
    assert not client.sign("i-1").startswith("tw1.")
    assert problems == ["cannot_sign"]


def test_ids_are_ordered_by_time_and_unique() -> None:
    ids = [thumbwheel.uuid7() for _ in range(5000)]
    assert len(set(ids)) == 5000
    later = (time.sleep(0.002), thumbwheel.uuid7())[1]
    assert all(one < later for one in ids)
    assert abs(int(later.replace("-", "")[:12], 16) / 1000 - time.time()) < 5


def test_backoff_is_jittered_bounded_and_never_below_retry_after() -> None:
    drawn = [backoff(20) for _ in range(200)]
    assert 0 <= min(drawn) < 20 and 40 < max(drawn) <= 60
    assert max(backoff(0) for _ in range(200)) <= 0.5
    assert backoff(0, 30.0) == 30.0
    assert backoff(0, 10_000.0) == 600.0


def test_retry_after_is_read_as_seconds_and_as_a_date() -> None:
    assert retry_after("7") == 7.0
    assert 55 < retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)) <= 60
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after("soon") == retry_after(None) == retry_after("") == 0.0


def test_the_readme_names_every_reason_an_event_will_not_arrive() -> None:
    sources = "".join(path.read_text("utf-8") for path in (SDK / "thumbwheel").rglob("*.py"))
    reasons = set(re.findall(r'(?:Problem\(|problem_from\(.*?, )"([a-z_]+)"', sources))
    readme = (SDK / "README.md").read_text("utf-8")
    assert {"queue_full", "spool_full", "no_connection", "not_confirmed"} <= reasons
    # The first is no reason of a drop, the second is the collector's own word.
    assert [one for one in sorted(reasons - {"cannot_sign", "rejected"}) if f"`{one}`" not in readme] == []


def test_it_imports_nothing_outside_the_standard_library() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import thumbwheel; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-I", "-c", code, str(SDK)], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert loaded - set(sys.stdlib_module_names) - {"thumbwheel", "__main__", "__mp_main__"} <= {
        name for name in loaded if name.startswith(("_", "sitecustomize", "__editable__", "apport"))
    }
    assert (SDK / "thumbwheel" / "py.typed").exists()
    assert os.path.getsize(SDK / "pyproject.toml")
