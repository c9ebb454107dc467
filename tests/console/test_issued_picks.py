"""A client can vote on the replies it was shown, once, and on nothing else: from the collector to the support rate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from collector.app import create_app
from contract.ids import uuid7
from contract.signing import sign_candidate, signing_key
from control_store.control import CreatedKey
from tests.console.bench import Bench
from tests.console.story import CHALLENGER, SAMPLING, asked, fact

SHOP = "https://shop.example"
SIDES = (CHALLENGER, "base", CHALLENGER, "base")


class Door:
    """The collector in front of the console's log, and what the gateway has issued."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._client = create_app(bench.settings, bench.log, bench.control).test_client()
        self.secret = bench.control.create_key("default", "secret")
        self._public = bench.control.create_key("default", "public", [SHOP]).key
        bench.put(fact("model.challenger", "challenger", 0, adapter_id=CHALLENGER, baseline="base"))

    def sign(self, interaction: str, count: int = 1, key: CreatedKey | None = None) -> list[str]:
        key = key or self.secret
        return [sign_candidate(signing_key(key.key), key.key_id, "default", interaction) for _ in range(count)]

    def issue(self, interaction: str) -> list[str]:
        """Log a blind interaction as the gateway does; return the signed ids, the challenger's first and third."""
        ids = self.sign(interaction, len(SIDES))
        test = {"challenger": CHALLENGER, "baseline": "base", "counted": True, "sampling": SAMPLING}
        event: Any = asked(interaction, 1, SIDES, f"What about {interaction}?", trial=test)
        candidates = [
            msgspec.structs.replace(one, candidate_id=name) for one, name in zip(event.candidates, ids, strict=True)
        ]
        self._bench.put(msgspec.structs.replace(event, candidates=candidates))
        return ids

    def pick(self, interaction: str, shown: Sequence[str], chosen: str, actors: Sequence[str] = ("agent-1",)) -> None:
        """Send a pick as a page does, once under each actor id, all of them accepted."""
        sent = [
            {"type": "pick", "event_id": str(uuid7()), "occurred_at": datetime.now(UTC).isoformat(),
             "actor": {"id": actor, "kind": "agent"}, "interaction_id": interaction, "shown": list(shown),
             "outcome": "chosen", "chosen": chosen, "dwell_ms": 4000}
            for actor in actors
        ]  # fmt: skip
        for start in range(0, len(sent), 500):
            body = {"events": sent[start : start + 500], "key": self._public}
            answer = self._client.post("/v1/events", data=json.dumps(body), headers={"Origin": SHOP})
            assert answer.status_code == 202, answer.get_json()
        self._bench.catch_up()

    def support(self) -> dict[str, Any]:
        (item,) = self._bench.support()
        found: dict[str, Any] = item
        return found


@pytest.fixture
def door(bench: Bench) -> Door:
    return Door(bench)


def test_a_pick_of_issued_replies_is_one_outcome_and_sent_under_a_thousand_names_still_one(door: Door) -> None:
    ids = door.issue("i-1")
    door.pick("i-1", ids, ids[0])
    before = door.support()
    assert (before["wins"], before["losses"], before["n"], before["excluded"]) == (1, 0, 1, {})
    door.pick("i-1", ids, ids[0], [f"agent-{number}" for number in range(1000)])
    after = door.support()
    assert (after["wins"], after["losses"], after["n"], after["rate"]) == (1, 0, 1, 1.0)
    assert (after["e_value"], after["interval"], after["state"]) == (before["e_value"], before["interval"], "running")
    assert (after["raters"], before["raters"]) == (1, 1)


def test_a_thousand_names_on_one_interaction_weigh_no_more_than_one_honest_pick_of_another(door: Door) -> None:
    stuffed, honest = door.issue("i-1"), door.issue("i-2")
    door.pick("i-1", stuffed, stuffed[0], [f"agent-{number}" for number in range(1000)])
    door.pick("i-2", honest, honest[1])
    item = door.support()
    assert (item["wins"], item["losses"], item["rate"]) == (1, 1, 0.5)
    assert item["raters"] <= 2 and item["interval"] == pytest.approx([0.0084, 0.9916], abs=1e-4)


def claims(door: Door, shown: list[str], other: list[str]) -> dict[str, tuple[list[str], str]]:
    """What a client might send to vote on more than it was shown: the ids, and why it is excluded from the test.

    A pick that chooses what does not belong to the interaction is no vote on it at all: "".
    """
    tampered = shown[0][:-1] + ("A" if shown[0][-1] != "A" else "B")
    leaked = door._bench.control.create_key("default", "secret")
    door._bench.control.revoke_key(leaked.key_id)
    return {
        "of another interaction": ([*shown[:3], other[3]], "unverified"),
        "all of another interaction": (other, ""),
        "made up": ([*shown[:3], "tw1.k0.AAAAAAAAAAAA.AAAAAAAAAAAAAAAA"], "unverified"),
        "with a letter changed": ([*shown[1:], tampered], "unverified"),
        "without a signature": (["i-1-0", "i-1-1", "i-1-2", "i-1-3"], ""),
        "only some of those shown": (shown[:1] + shown[2:3], "unbalanced"),
        "signed with a key that leaked, but shown to nobody": (
            [*shown[:3], *door.sign("i-1", 1, leaked)],
            "unbalanced",
        ),
    }


def test_a_reply_that_was_not_shown_cannot_be_claimed(door: Door) -> None:
    shown, other = door.issue("i-1"), door.issue("i-2")
    for number, (name, (named, reason)) in enumerate(claims(door, shown, other).items()):
        before = door.support()["excluded"]
        door.pick("i-1", named, named[0], [f"agent-{number}"])
        item = door.support()
        assert item["n"] == 0, name
        expected = before if not reason else before | {reason: before.get(reason, 0) + 1}
        assert item["excluded"] == expected, name


def test_an_id_says_nothing_about_who_wrote_the_reply(door: Door) -> None:
    """Whatever one reads off the ids, it does not tell the challenger's from the baseline's."""
    issued = [door.sign(f"i-{number}", len(SIDES)) for number in range(400)]
    assert len({name.split(".")[1] for ids in issued for name in ids}) == 1
    assert len({len(name) for ids in issued for name in ids}) == 1
    for part in (2, 3):
        first = sum(min(range(4), key=lambda place: ids[place].split(".")[part]) in (0, 2) for ids in issued)
        # Half of them, give or take six standard deviations.
        assert abs(first - 200) <= 60, f"the smallest of part {part} was the challenger's {first} times of 400"
