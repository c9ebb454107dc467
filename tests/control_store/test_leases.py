"""Who has which slot until when: nobody holds two, what runs out is given on, and a late answer is kept beside."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from contract.errors import ThumbwheelError
from control_store import key_store
from control_store.drafts import MOST_BYTES, Drafts
from control_store.engine import open_engine
from control_store.guests import Guests
from control_store.leases import Lease, Leases, Offer, Place
from tests.postgresql import CONTROL_KEY

SHORT, LONG = timedelta(seconds=5), timedelta(hours=1)


@pytest.fixture
def engine(control_url: str) -> Iterator[sa.Engine]:
    opened = open_engine(control_url, CONTROL_KEY)
    yield opened
    opened.dispose()


@pytest.fixture
def leases(engine: sa.Engine) -> Leases:
    return Leases(engine)


def place(n: int = 0) -> Place:
    return Place("default", "t-1", f"i-{n}")


def offers(items: int = 1, slots: int = 2) -> list[Offer]:
    return [Offer(place(n), slots) for n in range(items)]


def granted(leases: Leases, person: str, given: list[Offer] | None = None, lasts: timedelta = LONG) -> Lease:
    found = leases.grant(given or offers(), person, lasts)
    assert found is not None
    return found


def later(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    monkeypatch.setattr(key_store, "now", lambda: datetime.now(UTC).replace(tzinfo=None) + by)


def test_a_place_has_as_many_holders_as_slots_and_nobody_holds_two(leases: Leases) -> None:
    ann, bob = granted(leases, "ann"), granted(leases, "bob")
    assert (ann.slot, bob.slot) == (0, 1)
    assert leases.grant(offers(), "cyd", LONG) is None
    again = granted(leases, "ann")
    assert (again.slot, again.token) == (0, ann.token)


def test_many_at_once_get_each_slot_once(leases: Leases) -> None:
    leases.grant(offers(), "first", LONG)
    found: list[Lease] = []

    def ask(person: str) -> None:
        for n in range(20):
            lease = leases.grant([Offer(place(n), 2)], person, LONG)
            if lease is not None:
                found.append(lease)

    threads = [threading.Thread(target=ask, args=(f"p-{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    slots = [(lease.place.interaction_id, lease.slot) for lease in found]
    assert len(slots) == len(set(slots)) == 20 * 2 - 1
    people = [(lease.place.interaction_id, lease.person) for lease in found]
    assert len(people) == len(set(people))


def test_a_lease_that_ran_out_is_given_on_and_activity_keeps_it(
    leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = granted(leases, "ann", offers(1, 1), SHORT)
    later(monkeypatch, timedelta(seconds=4))
    assert leases.renew(ann.token, "ann", SHORT)
    later(monkeypatch, timedelta(seconds=8))
    assert leases.grant(offers(1, 1), "bob", LONG) is None
    later(monkeypatch, timedelta(seconds=10))
    bob = granted(leases, "bob", offers(1, 1))
    assert bob.slot == 0
    assert leases.renew(ann.token, "ann", SHORT) is None
    assert [one.person for one in leases.live("default", "t-1", "ann")] == []


def test_who_comes_back_after_the_time_has_it_still_where_nobody_asked(
    leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = granted(leases, "ann", lasts=SHORT)
    later(monkeypatch, LONG)
    renewed = leases.renew(ann.token, "ann", SHORT)
    assert renewed is not None and renewed.slot == 0


def test_a_late_answer_has_a_slot_beyond_those_wanted_and_keeps_it(
    leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, eve = granted(leases, "ann", lasts=SHORT), granted(leases, "eve", lasts=SHORT)
    later(monkeypatch, LONG)
    for person in ("bob", "cyd"):
        granted(leases, person)
    late = leases.begin_submit(ann.token, "ann", 2)
    assert late is not None and (late.slot, late.state) == (2, "late")
    again = leases.begin_submit(ann.token, "ann", 2)
    assert again == late, "a repetition says the same, so that the event is the same"
    other = leases.begin_submit(eve.token, "eve", 2)
    assert other is not None and other.slot == 3
    leases.done(ann, "late", "e-1")
    assert leases.grant(offers(), "ann", LONG) is None


def test_a_submission_under_way_keeps_its_slot(leases: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = granted(leases, "ann", offers(1, 1), SHORT)
    later(monkeypatch, timedelta(seconds=6))
    begun = leases.begin_submit(ann.token, "ann", 1)
    assert begun is not None and begun.slot == 0
    later(monkeypatch, timedelta(seconds=30))
    assert leases.grant(offers(1, 1), "bob", LONG) is None
    again = leases.begin_submit(ann.token, "ann", 1)
    assert again is not None and (again.slot, again.submitted_at) == (0, begun.submitted_at)
    leases.done(ann, "done", "e-1")
    later(monkeypatch, LONG)
    assert leases.grant(offers(1, 1), "bob", LONG) is None, "what is done is never given on"


def test_who_answered_without_a_slot_takes_one_up(leases: Leases, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that was lost knows no slots: the tables know who answered."""
    assert granted(leases, "bob", [Offer(place(), 2, frozenset({"ann"}))]).slot == 1
    assert leases.grant([Offer(place(), 2, frozenset({"ann"}))], "cyd", LONG) is None
    ann = granted(leases, "ann", [Offer(place(1), 2)], SHORT)
    later(monkeypatch, LONG)
    assert granted(leases, "bob", [Offer(place(1), 2)]).slot == 0
    leases.begin_submit(ann.token, "ann", 2)
    assert leases.grant([Offer(place(1), 2)], "cyd", LONG) is None, "the late answer and bob's are two"


def test_an_answer_that_the_tables_no_longer_have_gives_its_slot_up(
    leases: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = granted(leases, "ann", offers(1, 1), SHORT)
    leases.begin_submit(ann.token, "ann", 1)
    leases.done(ann, "done", "e-1")
    now = key_store.now()
    later(monkeypatch, LONG)
    assert leases.grant(offers(1, 1), "bob", LONG, known_to=now - SHORT) is None
    assert leases.grant([Offer(place(), 1, frozenset({"ann"}))], "bob", LONG, known_to=now + SHORT) is None
    assert leases.grant(offers(1, 1), "bob", LONG, known_to=now + SHORT) is not None


def test_skipped_goes_to_another_and_put_off_comes_last(leases: Leases) -> None:
    ann = granted(leases, "ann", offers(1, 1))
    leases.done(ann, "skipped", "e-1")
    assert leases.grant(offers(1, 1), "ann", LONG) is None
    bob = granted(leases, "bob", offers(1, 1))
    assert leases.give_back(bob.token, "bob", "postponed")
    assert leases.unavailable("default", "t-1", "bob") == {("i-0", "")}
    assert [one.place for one in leases.postponed("default", "t-1", "bob")] == [place()]
    assert granted(leases, "bob", offers(1, 1)).slot == 0


def test_what_is_taken_back_comes_again_under_a_new_token(leases: Leases) -> None:
    ann = granted(leases, "ann")
    leases.begin_submit(ann.token, "ann", 2)
    leases.done(ann, "done", "e-1")
    back = leases.take_back(ann.token, "ann", LONG)
    assert back is not None and (back.slot, back.state) == (0, "held") and back.token != ann.token
    assert leases.take_back(back.token, "ann", LONG) is None, "nothing was submitted"
    assert leases.find(ann.token, "ann") is None


def test_an_item_is_loaded_ahead_and_then_held(leases: Leases) -> None:
    ahead = leases.grant(offers(2), "ann", SHORT, ahead=True)
    assert ahead is not None and ahead.state == "ahead"
    held = leases.grant([Offer(place(1), 2)], "ann", LONG)
    assert held is not None
    assert [one.state for one in leases.live("default", "t-1", "ann")] == ["held", "ahead"]
    started = leases.renew(ahead.token, "ann", LONG)
    assert started is not None and started.state == "held"


def test_a_token_is_its_persons_own(leases: Leases) -> None:
    ann = granted(leases, "ann")
    assert leases.renew(ann.token, "bob", LONG) is None
    assert leases.begin_submit(ann.token, "bob", 2) is None
    assert not leases.give_back(ann.token, "bob", "postponed")


def test_a_store_that_was_lost_takes_an_answer_under_the_token_it_was_asked_with(leases: Leases) -> None:
    adopted = leases.adopt(place(), "ann", "old-token")
    assert adopted is not None and (adopted.slot, adopted.token) == (None, "old-token")
    late = leases.begin_submit("old-token", "ann", 2)
    assert late is not None and late.slot == 2
    bob = granted(leases, "bob")
    assert leases.adopt(place(), "bob", "older") == bob, "who has a row keeps it"


def test_a_draft_is_kept_by_place_and_person_until_it_is_removed(engine: sa.Engine) -> None:
    drafts = Drafts(engine)
    drafts.save(place(), "ann", "first")
    drafts.save(place(), "ann", "second 中文")
    drafts.save(place(), "bob", "other")
    found = drafts.read(place(), "ann")
    assert found is not None and found.body == "second 中文"
    with pytest.raises(ThumbwheelError) as refused:
        drafts.save(place(), "ann", "文" * MOST_BYTES)
    assert refused.value.code == "draft_too_large"
    kept = drafts.read(place(), "ann")
    assert kept is not None and kept.body == "second 中文"
    drafts.forget("default", "ann")
    assert drafts.read(place(), "ann") is None and drafts.read(place(), "bob") is not None
    drafts.remove(place(), "bob")
    assert drafts.read(place(), "bob") is None


def test_a_guest_link_opens_one_task_until_it_ends_or_is_revoked(engine: sa.Engine) -> None:
    guests = Guests(engine)
    guest, token = guests.create("default", "t-1", "mia", timedelta(days=2))
    other, ended = guests.create("default", "t-1", "mia", timedelta(days=1))
    assert guests.enter(token) == guest and guest.person != other.person
    assert guests.enter("nothing") is None
    assert [one.link_id for one in guests.listed("default", "t-1")] == [guest.link_id, other.link_id]
    assert guests.revoke("default", guest.link_id).state == "revoked"
    assert guests.enter(token) is None and guests.enter(ended) is not None
    with pytest.raises(ThumbwheelError):
        guests.revoke("elsewhere", other.link_id)
    with pytest.raises(ThumbwheelError):
        guests.create("default", "t-1", "mia", timedelta(days=0))
