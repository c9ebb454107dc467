"""Blind candidates: half of each model, in random order, in the log before they are shown, named nowhere."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from contract.errors import LogUnavailable
from contract.events import Interaction
from contract.signing import verify_candidate
from eventlog.log import Entry, Log, Position
from eventlog.opening import open_log
from gateway.blind import normalised
from gateway.engine import Engine
from tests.gateway.conftest import CHALLENGER, CHAMPION, OTHERS, Gateway, serve

ASK = [{"role": "user", "content": "where is my parcel"}]
# A nucleus of one token: each model says one thing only, so a text tells the test who wrote it.
COLD = {"top_p": 1e-9, "max_tokens": 8}


def post(gateway: Gateway, **body: Any) -> tuple[bytes, dict[str, Any]]:
    """Return every byte of the answer, head included, and its JSON."""
    connection = http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=60)
    headers = {"Authorization": f"Bearer {gateway.secret.key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/candidates", json.dumps({"messages": ASK, **body}), headers)
    answer = connection.getresponse()
    raw = answer.read()
    assert answer.status == 200, raw
    head = f"{answer.status} {answer.reason}\n" + "".join(f"{name}: {value}\n" for name, value in answer.getheaders())
    connection.close()
    return head.encode() + raw, json.loads(raw)


def only(gateway: Gateway) -> Interaction:
    (event,) = gateway.logged()
    return event


def says(gateway: Gateway, model: str) -> str:
    """Return what a model says when it is cold."""
    gateway.set_aliases(champion=None if model == "base" else model)
    return str(post(gateway, k=2, thumbwheel={"store": False}, **COLD)[1]["candidates"][0]["content"])


def test_without_a_challenger_all_replies_are_the_champions(gateway: Gateway) -> None:
    gateway.set_aliases(champion=CHAMPION)
    _, body = post(gateway, max_tokens=6)
    event = only(gateway)
    assert len(body["candidates"]) == 4
    assert {c.model for c in event.candidates} == {CHAMPION}
    assert (event.trial, event.surface) == (None, "workbench")


def test_nothing_the_rater_receives_names_a_model_although_both_answered(gateway: Gateway) -> None:
    gateway.set_aliases(champion=CHAMPION, challenger=CHALLENGER, baseline=CHAMPION)
    sent = b""
    for _ in range(10):
        raw, body = post(gateway, k=4, max_tokens=6)
        sent += raw
        assert set(body) == {"interaction_id", "candidates"}
        assert all(set(candidate) == {"candidate_id", "content"} for candidate in body["candidates"])
        head = raw.partition(b"{")[0].decode().lower()
        names = {line.partition(":")[0] for line in head.splitlines()[1:]}
        assert names <= {
            "server", "date", "content-type", "content-length", "connection", "x-thumbwheel-interaction-id",
        }  # fmt: skip
    for event in gateway.logged():
        assert Counter(c.model for c in event.candidates) == {CHAMPION: 2, CHALLENGER: 2}
    for name in (CHAMPION, CHALLENGER, *OTHERS, "champion", "challenger", "baseline", "latency", "finish_reason"):
        assert name.encode() not in sent, name


def test_the_event_is_in_the_log_when_the_answer_comes(gateway: Gateway) -> None:
    gateway.set_aliases(challenger=CHALLENGER)
    _, body = post(gateway, k=4, max_tokens=6, temperature=0.9, top_p=0.8, stop=["zzz"], seed=4)
    event = only(gateway)
    assert event.interaction_id == body["interaction_id"]
    assert [(c.candidate_id, c.content) for c in event.candidates] == [
        (c["candidate_id"], c["content"]) for c in body["candidates"]
    ]
    assert event.order == [c.candidate_id for c in event.candidates]
    settings = {"temperature": 0.9, "top_p": 0.8, "max_tokens": 6, "stop": ["zzz"]}
    assert all(c.sampling == settings and c.finish_reason in ("stop", "length") for c in event.candidates)
    assert event.trial and (event.trial.challenger, event.trial.baseline) == (CHALLENGER, "base")
    assert (event.trial.counted, event.trial.sampling) == (True, settings)
    find = gateway.control.signing_key
    assert all(verify_candidate(find, "shop", event.interaction_id, c.candidate_id, "u-1") for c in event.candidates)


def test_replies_issued_for_an_actor_are_theirs_to_judge(gateway: Gateway) -> None:
    gateway.set_aliases(challenger=CHALLENGER)
    about = {"actor": {"id": "agent-7", "kind": "agent"}}
    _, body = post(gateway, k=2, max_tokens=6, thumbwheel=about)
    find, interaction = gateway.control.signing_key, body["interaction_id"]
    for name in (c["candidate_id"] for c in body["candidates"]):
        assert verify_candidate(find, "shop", interaction, name, "agent-7")
        assert not verify_candidate(find, "shop", interaction, name, "agent-8")


def test_the_order_is_random(gateway: Gateway) -> None:
    gateway.set_aliases(challenger=CHALLENGER)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: post(gateway, k=2, max_tokens=2), range(40)))
    first = Counter(event.candidates[0].model for event in gateway.logged())
    assert first[CHALLENGER] + first["base"] == 40
    assert 6 <= first[CHALLENGER] <= 34, "one in 300,000 fair draws lies outside"


@pytest.mark.parametrize(("k", "theirs", "counted"), [(2, 1, True), (3, 1, False), (5, 2, False), (8, 4, True)])
def test_the_extra_reply_of_an_odd_number_is_the_baselines(
    gateway: Gateway, k: int, theirs: int, counted: bool
) -> None:
    gateway.set_aliases(champion=OTHERS[0], challenger=CHALLENGER, baseline=CHAMPION)
    post(gateway, k=k, max_tokens=4)
    event = only(gateway)
    assert Counter(c.model for c in event.candidates) == {CHAMPION: k - theirs, CHALLENGER: theirs}
    assert event.trial and event.trial.counted is counted


def test_equal_texts_are_drawn_again_then_marked_in_the_log_only(gateway: Gateway) -> None:
    gateway.set_aliases(challenger=CHALLENGER)
    _, body = post(gateway, k=4, **COLD)
    event = only(gateway)
    assert event.trial
    texts = [normalised(c["content"]) for c in body["candidates"]]
    again = [c["candidate_id"] for i, c in enumerate(body["candidates"]) if texts[i] in texts[:i]]
    assert len(again) == 2
    assert event.trial.duplicates == again


def test_an_equal_text_is_drawn_again_by_its_own_model(gateway: Gateway) -> None:
    gateway.set_aliases(challenger=CHALLENGER)
    for _ in range(10):
        post(gateway, k=8, max_tokens=1, temperature=0.6)
    for event in gateway.logged():
        assert Counter(c.model for c in event.candidates) == {"base": 4, CHALLENGER: 4}
        texts = [normalised(str(c.content)) for c in event.candidates]
        doubled = [c.candidate_id for i, c in enumerate(event.candidates) if texts[i] in texts[:i]]
        assert event.trial and event.trial.duplicates == doubled


def test_a_comparison_shows_half_of_each_and_is_not_counted(gateway: Gateway) -> None:
    gateway.set_aliases(champion=CHAMPION, challenger=CHALLENGER)
    post(gateway, k=4, max_tokens=4, thumbwheel={"compare": {"challenger": "champion", "baseline": "base"}})
    event = only(gateway)
    assert Counter(c.model for c in event.candidates) == {CHAMPION: 2, "base": 2}
    assert event.trial and (event.trial.challenger, event.trial.baseline) == (CHAMPION, "base")
    assert not event.trial.counted


def test_unstored_replies_are_the_champions(gateway: Gateway) -> None:
    champion = says(gateway, "base")
    gateway.set_aliases(challenger=CHALLENGER)
    _, body = post(gateway, k=4, store=False, **COLD)
    assert {c["content"] for c in body["candidates"]} == {champion}
    assert gateway.logged() == []


class LeavingLog:
    """The real log, which can be cut off: before an append, or between the write and its confirmation."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.away: str | None = None

    def check(self) -> None:
        if self.away == "wholly":
            raise LogUnavailable("The log is away.")
        self._log.check()

    def append(self, entries: Sequence[Entry], timeout_s: float = 10.0) -> list[Position | None]:
        if self.away == "unconfirmed":
            self._log.append(entries, timeout_s)
            return [None] * len(entries)
        if self.away:
            raise LogUnavailable("The log is away.")
        return self._log.append(entries, timeout_s)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


@pytest.fixture
def cut_off(stocked: Path, engine: Engine, tmp_path: Path) -> Iterator[tuple[Gateway, LeavingLog]]:
    home = tmp_path / "home"
    (home / "models" / "shop").mkdir(parents=True)
    (home / "models" / "shop" / "adapters").symlink_to(stocked / "models" / "shop" / "adapters")
    log = open_log(f"sqlite:///{tmp_path / 'log' / 'events.db'}")
    leaving = LeavingLog(log)
    for gateway in serve(home, engine, leaving):
        yield gateway, leaving
    log.close()


@pytest.mark.parametrize("away", ["wholly", "while appending", "unconfirmed"])
def test_with_the_log_away_only_the_champion_answers_and_no_vote_can_count(
    cut_off: tuple[Gateway, LeavingLog], away: str
) -> None:
    gateway, log = cut_off
    champion = says(gateway, CHAMPION)
    gateway.set_aliases(champion=CHAMPION, challenger=CHALLENGER, baseline=CHAMPION)
    assert len({c["content"] for c in post(gateway, k=4, **COLD)[1]["candidates"]}) == 2
    log.away = away
    _, body = post(gateway, k=4, **COLD)
    assert {c["content"] for c in body["candidates"]} == {champion}
    logged = {c.candidate_id for event in gateway.logged() for c in event.candidates}
    assert not logged & {c["candidate_id"] for c in body["candidates"]}
    log.away = None
    assert len({c["content"] for c in post(gateway, k=4, **COLD)[1]["candidates"]}) == 2


def test_models_change_under_load_and_nobody_is_refused(gateway: Gateway) -> None:
    def many(_: int) -> None:
        post(gateway, k=4, max_tokens=12)

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(many, number) for number in range(32)]
        for champion in (*OTHERS, CHAMPION, *OTHERS):
            gateway.set_aliases(champion=champion, challenger=CHALLENGER, baseline=champion)
            asked[0].result()
            post(gateway, k=2, max_tokens=2)
        for one in asked:
            one.result()
    events = gateway.logged()
    assert len(events) == 32 + 2 * len(OTHERS) + 1
    assert len({c.model for event in events for c in event.candidates}) > len(OTHERS)
