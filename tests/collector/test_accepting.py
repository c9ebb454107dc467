"""What a sender of events sees: accepted once durable, an answer for each event, the stamps of the collector."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from contract.errors import LogUnavailable
from contract.signing import sign_candidate, signing_key
from contract.topics import REJECTED
from eventlog.log import Entry, Position

from .conftest import SHOP, Bench, events, interaction, thumb


def test_accepted_events_are_in_the_log_with_their_stamps(bench: Bench) -> None:
    sent = [interaction(), thumb(labels=["refund/late"]), thumb(interaction_id="i-2")]
    answer = bench.post(sent)
    assert answer.status_code == 202
    assert answer.get_json()["results"] == [{"event_id": e["event_id"], "status": "accepted"} for e in sent]
    stored = events(bench.log)
    assert [e["event_id"] for e in stored] == [e["event_id"] for e in sent]
    assert {e["project"] for e in stored} == {"default"}
    assert {e["via"] for e in stored} == {"secret"}
    assert all(e["received_at"] > "2026" and e["key_id"].startswith("k") for e in stored)
    assert stored[0]["candidates"][0]["model"] == "m"


def test_each_event_is_judged_alone_and_answered_in_input_order(bench: Bench) -> None:
    sent = [thumb(), thumb(value="sideways"), thumb(), {"type": "wish"}, "no event", thumb()]
    answer = bench.post(sent)
    assert answer.status_code == 207
    results = answer.get_json()["results"]
    assert [r["status"] for r in results] == ["accepted", "rejected", "accepted", "rejected", "rejected", "accepted"]
    assert [r["event_id"] for r in results[:3]] == [e["event_id"] for e in sent[:3]]
    assert results[1]["error"]["field"] == "value"
    assert results[3]["error"]["code"] == "unknown_type"
    assert results[4]["event_id"] is None
    assert len(events(bench.log)) == 3


def test_a_beacon_as_text_plain_with_the_key_in_its_body_is_accepted(bench: Bench) -> None:
    body = {"events": [thumb()], "key": bench.public, "sent_at": "2026-01-31T12:00:00Z"}
    headers = {"Content-Type": "text/plain;charset=UTF-8", "Authorization": "", "Origin": SHOP}
    assert bench.post(body, headers=headers).status_code == 202
    (stored,) = events(bench.log)
    assert (stored["sent_at"], stored["occurred_at"]) == ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123000Z")
    assert stored["received_at"] > "2026-06"


@pytest.mark.parametrize("sent_at", ["soon", "2026-01-31T12:00:00", "0001-01-01T00:00:00+23:00", "", None])
def test_an_unreadable_time_of_sending_costs_no_event(bench: Bench, sent_at: str | None) -> None:
    assert bench.post({"events": [thumb(), thumb(mood="good")], "sent_at": sent_at}).status_code == 202
    assert ["sent_at" in event for event in events(bench.log)] == [False, False]


def test_a_gzip_body_is_accepted(bench: Bench) -> None:
    raw = gzip.compress(json.dumps({"events": [thumb()] * 100}).encode())
    assert bench.post(raw, headers={"Content-Encoding": "gzip"}).status_code == 202
    assert len(events(bench.log)) == 100


def test_unknown_fields_are_kept_under_extra_and_stamps_from_outside_are_not_believed(bench: Bench) -> None:
    forged = {"project": "other", "via": "gateway", "verified": True, "received_at": "long ago", "sent_at": "then"}
    bench.post([thumb(mood="good", **forged)])
    (stored,) = events(bench.log)
    assert stored["extra"] == {"mood": "good"}
    assert (stored["project"], stored["via"], stored.get("verified", False)) == ("default", "secret", False)


@pytest.mark.parametrize("kind", ["thumb", "choice", "pick", "edit", "retract"])
def test_a_public_key_may_write_feedback(bench: Bench, kind: str) -> None:
    own: dict[str, dict[str, Any]] = {
        "thumb": {},
        "choice": {"shown": ["c-1", "c-2"], "outcome": "tie", "chosen": None},
        "pick": {"shown": ["c-1", "c-2"], "outcome": "chosen", "chosen": "c-2", "sent": True, "dwell_ms": 900},
        "edit": {"text": "Better."},
        "retract": {"target": thumb()["event_id"]},
    }
    assert bench.post_from(SHOP, [thumb(type=kind, **own[kind])]).status_code == 202


def annotation(**fields: Any) -> dict[str, Any]:
    return thumb(type="annotation", value=..., answers={"tone/polite": True}, **fields)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"task_id": "t-1"}, "task_id"),
        ({"actor": {"id": "u-1", "kind": "expert"}}, "actor.kind"),
        ({"actor": {"id": "u-1", "kind": "crowd"}}, "actor.kind"),
        ({"actor": {"id": "u-1", "kind": "agent"}}, "actor.kind"),
    ],
)
def test_a_page_annotates_for_its_reader_only(bench: Bench, fields: dict[str, Any], field: str) -> None:
    answer = bench.post_from(SHOP, [annotation(**fields), annotation(), thumb()])
    results = answer.get_json()["results"]
    assert [result["status"] for result in results] == ["rejected", "accepted", "accepted"]
    assert (results[0]["error"]["code"], results[0]["error"]["field"]) == ("not_allowed", field)


def test_a_server_answers_for_a_task_and_for_the_people_it_names(bench: Bench) -> None:
    answer = bench.post([annotation(task_id="t-1", actor={"id": "ann", "kind": "expert"})])
    assert [result["status"] for result in answer.get_json()["results"]] == ["accepted"]


@pytest.mark.parametrize("kind", ["interaction", "review", "judgement", "run.started", "request.train", "forget"])
def test_a_type_the_public_key_may_not_write_is_rejected_alone(bench: Bench, kind: str) -> None:
    own: dict[str, dict[str, Any]] = {
        "interaction": interaction(),
        "review": thumb(type="review", task_id="t", verdict="accept", candidate_id=..., value=...),
        "judgement": thumb(type="judgement", shown=["a", "b"], outcome="tie", judge="j", candidate_id=..., value=...),
        "run.started": thumb(type="run.started", run_id="r", method="dpo"),
        "request.train": thumb(type="request.train"),
        "forget": thumb(type="forget", actor_digest="d", before="2026-01-31T12:00:00Z"),
    }
    answer = bench.post_from(SHOP, [own[kind], thumb()])
    assert [r["status"] for r in answer.get_json()["results"]] == ["rejected", "accepted"]
    assert answer.get_json()["results"][0]["error"]["code"] == "type_not_allowed"
    if kind != "interaction":
        assert bench.results([own[kind]])[0]["status"] == "rejected"


def test_under_a_public_key_the_model_of_inline_candidates_is_dropped(bench: Bench) -> None:
    bench.post_from(SHOP, [thumb(candidates=[{"candidate_id": "c-1", "content": "x", "model": "gpt"}])])
    (stored,) = events(bench.log)
    assert stored["via"] == "public"
    assert "model" not in stored["candidates"][0]


def test_feedback_is_verified_only_when_every_candidate_it_names_is_signed(bench: Bench) -> None:
    created = bench.control.create_key("default", "secret")
    mine, others = (
        [sign_candidate(signing_key(created.key), created.key_id, "default", i) for _ in range(2)]
        for i in ("i-1", "i-2")
    )
    pick = {"type": "pick", "outcome": "tie", "chosen": None, "candidate_id": ..., "value": ...}
    cases = [(mine, True), ([mine[0], others[0]], False), ([mine[0], "c-1"], False)]
    bench.post_from(SHOP, [thumb(**pick, shown=shown) for shown, _ in cases])
    bench.post_from(SHOP, [thumb(candidate_id=mine[0])])
    found = [e.get("verified", False) for e in events(bench.log)]
    assert found == [True, False, False, True]


def test_ids_issued_for_an_actor_verify_that_actor_s_feedback_only(bench: Bench) -> None:
    created = bench.control.create_key("default", "secret")
    key = signing_key(created.key)
    agents, anybodys = (sign_candidate(key, created.key_id, "default", "i-1", actor) for actor in ("agent-7", None))
    given = [("agent-7", agents), ("agent-8", agents), ("agent-7", anybodys), ("agent-8", anybodys)]
    bench.post_from(SHOP, [thumb(candidate_id=name, actor={"id": actor, "kind": "agent"}) for actor, name in given])
    assert [e.get("verified", False) for e in events(bench.log)] == [True, False, True, True]


def test_a_rejected_event_is_kept_with_its_bytes_and_reason(bench: Bench) -> None:
    bad = thumb(value="sideways")
    bench.post([bad])
    (kept,) = events(bench.log, REJECTED)
    assert (kept["project"], kept["code"], kept["field"]) == ("default", "invalid_event", "value")
    assert kept["event_id"] == bad["event_id"]
    assert kept["length"] == len(json.dumps(bad))
    assert kept["key_id"].startswith("k")


def test_an_event_over_256_kib_is_rejected_alone_and_its_start_is_kept(bench: Bench) -> None:
    results = bench.results([thumb(comment="x" * 300_000), thumb()])
    assert [r["status"] for r in results] == ["rejected", "accepted"]
    assert results[0]["error"]["code"] == "too_large"
    (kept,) = events(bench.log, REJECTED)
    assert kept["length"] > 300_000
    assert len(kept["raw"]) == 4 * -(-256 * 1024 // 3)


class Away:
    """A log that is away, or takes only some."""

    promise = "fsync"

    def __init__(self, bench: Bench, raises: bool) -> None:
        self.raises = raises

    def append(self, entries: list[Entry], timeout_s: float = 10.0) -> list[Position | None]:
        if self.raises:
            raise LogUnavailable("The disk is full.")
        return [Position("t", 0, 0) if index % 2 else None for index in range(len(entries))]

    def check(self) -> None:
        raise LogUnavailable("The disk is full.")


def test_without_the_log_every_event_is_to_be_sent_again(bench: Bench) -> None:
    bench.restart(log=Away(bench, raises=True))  # type: ignore[arg-type]
    answer = bench.post([thumb(), thumb(value="sideways")])
    assert (answer.status_code, answer.headers["Retry-After"]) == (207, "1")
    assert [r["status"] for r in answer.get_json()["results"]] == ["retry", "rejected"]
    ready = bench.client.get("/readyz")
    assert (ready.status_code, ready.get_json()["error"]["code"]) == (503, "log_unavailable")
    assert bench.client.get("/healthz").status_code == 200


def test_only_what_the_log_confirmed_is_accepted(bench: Bench) -> None:
    bench.restart(log=Away(bench, raises=False))  # type: ignore[arg-type]
    assert [r["status"] for r in bench.results([thumb(), thumb(), thumb()])] == ["retry", "accepted", "retry"]


def test_the_events_address_can_be_moved(bench: Bench) -> None:
    bench.settings = type(bench.settings)(home=bench.settings.home, collector_path="/hello/there")
    bench.restart()
    assert bench.post([thumb()]).status_code == 202
    assert bench.client.post("/v1/events", data=b"{}").status_code == 404
    told = bench.client.get("/v1/openapi.json").get_json()["paths"]
    assert "/hello/there" in told and "/v1/events" not in told
