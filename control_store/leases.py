"""Who has which item's slot until when. What is lost with these rows is a place in a queue, never a decision.

Of a place (an item in a round of a stage) a person has one row, and a slot one holder: the table's keys say so. A slot
is given on by one conditional UPDATE once its lease has run out; whoever had it keeps the row without the slot, and
submits late. Every write is one statement or one transaction that begins with a write.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from contract.ids import derived_id
from control_store import key_store
from control_store.migrating import up_to_date

# held and ahead have a slot for a time, done for good; the others have none, late has one beyond those wanted.
LIVE = ("held", "ahead")
# Whoever did this is not offered the place again.
FINISHED = ("done", "late", "skipped")
# A submission under way keeps its slot so long: its event may be in the log already, and its sender tries again.
SUBMITTING = timedelta(seconds=60)
_TRIES = 50

metadata = sa.MetaData()
_leases = sa.Table(
    "leases", metadata,
    sa.Column("item_key", sa.String(32), primary_key=True), sa.Column("person", sa.String(128), primary_key=True),
    sa.Column("slot", sa.Integer), sa.Column("token", sa.String(64), nullable=False, unique=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("project", sa.String(128), nullable=False), sa.Column("task_id", sa.String(128), nullable=False),
    sa.Column("interaction_id", sa.String(128), nullable=False), sa.Column("unit", sa.String(257), nullable=False),
    sa.Column("stage", sa.Integer, nullable=False), sa.Column("round", sa.Integer, nullable=False),
    sa.Column("granted_at", sa.DateTime, nullable=False), sa.Column("expires_at", sa.DateTime, nullable=False),
    sa.Column("submitted_at", sa.DateTime), sa.Column("events", sa.Text, nullable=False),
    sa.UniqueConstraint("item_key", "slot"),
)  # fmt: skip
_c = _leases.c


@dataclass(frozen=True)
class Place:
    """An item in a round of a stage: what slots belong to."""

    project: str
    task_id: str
    interaction_id: str
    unit: str = ""
    stage: int = 0
    round: int = 0

    @property
    def key(self) -> str:
        """Return the place as one text of 32 characters."""
        return derived_id(
            "place", self.project, self.task_id, self.interaction_id, self.unit, str(self.stage), str(self.round)
        ).hex


@dataclass(frozen=True)
class Offer:
    """A place, how many people are wanted there, and who of them has answered as far as the tables know."""

    place: Place
    wanted: int
    answered: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Lease:
    """One person's row of one place; `slot` is None while another has it."""

    place: Place
    person: str
    slot: int | None
    token: str
    state: str
    granted_at: datetime
    expires_at: datetime
    submitted_at: datetime | None
    events: tuple[str, ...]


class Leases:
    """The leases in a control store. Thread-safe; every call raises sqlalchemy's errors while the store is away."""

    def __init__(self, engine: sa.Engine) -> None:
        """Use a control store's engine (`Control.engine`); the tables are made at first use."""
        self._engine = engine

    def grant(
        self,
        offers: Sequence[Offer],
        person: str,
        lasts: timedelta,
        *,
        ahead: bool = False,
        known_to: datetime | None = None,
    ) -> Lease | None:
        """Give the person a free slot of the first place that has one, or renew what they have there; None: none has.

        `ahead` marks an item that is only loaded beforehand. The tables know every answer from before `known_to`: one
        that is not in force there any more gives its slot up.
        """
        rows = self._rows([offer.place.key for offer in offers])
        for offer in offers:
            there = rows.get(offer.place.key, [])
            own = next((row for row in there if row.person == person), None)
            if person in offer.answered or (own is not None and own.state in FINISHED):
                continue
            if own is not None and own.state in LIVE:
                renewed = self.renew(own.token, person, lasts, ahead=ahead and own.state == "ahead")
                if renewed is not None:
                    return renewed
            for slot, holder in _open_slots(offer, there, known_to):
                if self._take(offer.place, person, slot, holder=holder, own=own, lasts=lasts, ahead=ahead):
                    return self.of_place(offer.place, person)
        return None

    def _take(self, place: Place, person: str, slot: int, holder: Any, own: Any, lasts: timedelta, ahead: bool) -> bool:
        """Take one slot; False where it is another's, or another was quicker."""
        now = key_store.now()
        values = {
            "slot": slot, "token": secrets.token_urlsafe(24), "state": "ahead" if ahead else "held", "granted_at": now,
            "expires_at": now + lasts, "submitted_at": None, "events": "",
        }  # fmt: skip
        try:
            with up_to_date(self._engine).begin() as connection:
                if holder is not None:
                    given = connection.execute(
                        _leases.update()
                        .where(_c.token == holder.token, _c.state == holder.state, _c.expires_at <= now)
                        .values(slot=None, state="given_on")
                    )
                    if not given.rowcount:
                        return False
                if own is None:
                    row = {name: getattr(place, name) for name in Place.__dataclass_fields__}
                    connection.execute(_leases.insert().values(item_key=place.key, person=person, **row, **values))
                else:
                    mine = (_c.item_key == place.key, _c.person == person, _c.slot.is_(None), _c.state == own.state)
                    if not connection.execute(_leases.update().where(*mine).values(**values)).rowcount:
                        connection.rollback()
                        return False
        except sa.exc.IntegrityError:
            return False
        return True

    def renew(self, token: str, person: str, lasts: timedelta, *, ahead: bool = False) -> Lease | None:
        """Let a lease run on from now, also one that has run out and was not given on; None where it is no longer."""
        values = {"expires_at": key_store.now() + lasts, "state": "ahead" if ahead else "held"}
        with up_to_date(self._engine).begin() as connection:
            live = (_c.token == token, _c.person == person, _c.state.in_(LIVE))
            if not connection.execute(_leases.update().where(*live).values(**values)).rowcount:
                return None
        return self.find(token, person)

    def begin_submit(self, token: str, person: str, beyond: int) -> Lease | None:
        """Keep the slot for a submission and say when it first began; None for a token that is not this person's.

        Where the slot was given on, the answer gets the next one from `beyond` on. A repetition gets the same.
        """
        found = self.find(token, person)
        if found is None or found.state in FINISHED:
            return found
        now = key_store.now()
        first = sa.func.coalesce(_c.submitted_at, now)
        mine = (_c.token == token, _c.person == person)
        with up_to_date(self._engine).begin() as connection:
            kept = connection.execute(
                _leases.update()
                .where(*mine, _c.state.in_(LIVE))
                .values(submitted_at=first, expires_at=now + SUBMITTING)
            )
            if kept.rowcount:
                pass
            else:
                connection.execute(_leases.update().where(*mine).values(submitted_at=first))
        found = self.find(token, person)
        if found is None or found.slot is not None:
            return found
        return self._late(found, beyond)

    def _late(self, lease: Lease, beyond: int) -> Lease | None:
        for tried in range(_TRIES):
            with up_to_date(self._engine).connect() as connection:
                query = sa.select(sa.func.max(_c.slot)).where(_c.item_key == lease.place.key)
                most = connection.execute(query).scalar()
            slot = max(beyond, (-1 if most is None else most) + 1)
            try:
                with up_to_date(self._engine).begin() as connection:
                    mine = (_c.token == lease.token, _c.person == lease.person, _c.slot.is_(None))
                    connection.execute(_leases.update().where(*mine).values(slot=slot, state="late"))
                return self.find(lease.token, lease.person)
            except sa.exc.IntegrityError:
                if tried == _TRIES - 1:
                    raise
        return None

    def done(self, lease: Lease, state: str, event_id: str) -> None:
        """Mark what is in the log: done and late keep their slot, skipped gives it back."""
        values: dict[str, Any] = {"state": state, "events": " ".join((*lease.events, event_id))}
        if state == "skipped":
            values["slot"] = None
        with up_to_date(self._engine).begin() as connection:
            mine = (_c.token == lease.token, _c.person == lease.person)
            connection.execute(_leases.update().where(*mine).values(**values))

    def give_back(self, token: str, person: str, state: str) -> bool:
        """Give the slot back: `postponed` comes again after all others, `given_on` when it is wanted again.

        False where it is no longer held.
        """
        with up_to_date(self._engine).begin() as connection:
            live = (_c.token == token, _c.person == person, _c.state.in_((*LIVE, "given_on")))
            values = {"slot": None, "state": state, "granted_at": key_store.now()}
            return bool(connection.execute(_leases.update().where(*live).values(**values)).rowcount)

    def adopt(self, place: Place, person: str, token: str) -> Lease | None:
        """Return the person's row of a place; where a lost store has none, a new one without a slot."""
        now = key_store.now()
        row = {name: getattr(place, name) for name in Place.__dataclass_fields__}
        values = {"slot": None, "token": token, "state": "given_on", "granted_at": now, "expires_at": now, "events": ""}
        try:
            with up_to_date(self._engine).begin() as connection:
                connection.execute(_leases.insert().values(item_key=place.key, person=person, **row, **values))
        except sa.exc.IntegrityError:
            pass
        return self.of_place(place, person)

    def take_back(self, token: str, person: str, lasts: timedelta) -> Lease | None:
        """Let a person who took back what they said go on with the item: a new token, the slot they had.

        A late one stays without a slot of its own; a skipped one gets its slot when it is asked for again.
        """
        now, new = key_store.now(), secrets.token_urlsafe(24)
        values = {"token": new, "submitted_at": None, "events": "", "granted_at": now, "expires_at": now + lasts}
        mine = (_c.token == token, _c.person == person)
        with up_to_date(self._engine).begin() as connection:
            back = connection.execute(
                _leases.update().where(*mine, _c.state == "done").values(**values, state="held")
            ).rowcount
            back = (
                back
                or connection.execute(
                    _leases.update()
                    .where(*mine, _c.state.in_(("late", "skipped")))
                    .values(**values, state="given_on", slot=None)
                ).rowcount
            )
        return self.find(new, person) if back else None

    def find(self, token: str, person: str) -> Lease | None:
        """Return a person's lease by its token."""
        return self._one(sa.select(_leases).where(_c.token == token, _c.person == person))

    def of_place(self, place: Place, person: str) -> Lease | None:
        """Return a person's row of a place."""
        return self._one(sa.select(_leases).where(_c.item_key == place.key, _c.person == person))

    def live(self, project: str, task_id: str, person: str) -> list[Lease]:
        """Return what the person has in hand, the newest first, and what is only loaded ahead last."""
        order = (sa.case((_c.state == "held", 0), else_=1), _c.granted_at.desc(), _c.item_key)
        return self._many(self._of(project, task_id, person).where(_c.state.in_(LIVE)).order_by(*order))

    def latest(self, project: str, task_id: str, person: str) -> Lease | None:
        """Return what the person submitted or skipped last."""
        ended = self._of(project, task_id, person).where(_c.state.in_(FINISHED))
        return self._one(ended.order_by(_c.submitted_at.desc(), _c.granted_at.desc()).limit(1))

    def unavailable(self, project: str, task_id: str, person: str) -> set[tuple[str, str]]:
        """Return the (interaction, unit) the person has answered, skipped, put off or holds, as far as known here."""
        query = sa.select(_c.interaction_id, _c.unit).where(
            _c.project == project, _c.task_id == task_id, _c.person == person, _c.state != "given_on"
        )
        with up_to_date(self._engine).connect() as connection:
            return {(row.interaction_id, row.unit) for row in connection.execute(query)}

    def postponed(self, project: str, task_id: str, person: str) -> list[Lease]:
        """Return what the person put off, the longest first."""
        return self._many(self._of(project, task_id, person).where(_c.state == "postponed").order_by(_c.granted_at))

    def counted(self, project: str, task_id: str, person: str) -> int:
        """Return how many answers of the person are known here."""
        query = sa.select(sa.func.count()).where(
            _c.project == project, _c.task_id == task_id, _c.person == person, _c.state.in_(("done", "late"))
        )
        with up_to_date(self._engine).connect() as connection:
            return int(connection.execute(query).scalar() or 0)

    def forget(self, project: str, person: str) -> None:
        """Remove every row of a person."""
        with up_to_date(self._engine).begin() as connection:
            connection.execute(_leases.delete().where(_c.project == project, _c.person == person))

    def _of(self, project: str, task_id: str, person: str) -> sa.Select[Any]:
        return sa.select(_leases).where(_c.project == project, _c.task_id == task_id, _c.person == person)

    def _rows(self, keys: Sequence[str]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        with up_to_date(self._engine).connect() as connection:
            for row in connection.execute(sa.select(_leases).where(_c.item_key.in_(keys))):
                found.setdefault(row.item_key, []).append(row)
        return found

    def _one(self, query: sa.Select[Any]) -> Lease | None:
        with up_to_date(self._engine).connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else _lease(row)

    def _many(self, query: sa.Select[Any]) -> list[Lease]:
        with up_to_date(self._engine).connect() as connection:
            return [_lease(row) for row in connection.execute(query)]


def _open_slots(offer: Offer, there: Sequence[Any], known_to: datetime | None) -> list[tuple[int, Any]]:
    """Return the slots a person may take, each with the row that gives it up, or None.

    Who has answered without one of the slots (late, or in a store that was lost) takes the first free ones up.
    """
    now = key_store.now()
    held = {row.slot: row for row in there if row.slot is not None and row.slot < offer.wanted}
    given = {slot: row for slot, row in held.items() if _gives_up(row, offer, now, known_to)}
    with_slot = {row.person for slot, row in held.items() if slot not in given}
    beside = (offer.answered | {row.person for row in there if row.state == "late"}) - with_slot
    free = [slot for slot in range(offer.wanted) if slot not in held or slot in given]
    return [(slot, given.get(slot)) for slot in free[len(beside) :]]


def _gives_up(row: Any, offer: Offer, now: datetime, known_to: datetime | None) -> bool:
    if row.person in offer.answered or row.expires_at > now:
        return False
    if row.state in LIVE:
        return True
    return row.state == "done" and known_to is not None and row.submitted_at < known_to


def _lease(row: Any) -> Lease:
    place = Place(row.project, row.task_id, row.interaction_id, row.unit, row.stage, row.round)
    return Lease(
        place,
        row.person,
        row.slot,
        row.token,
        row.state,
        row.granted_at,
        row.expires_at,
        row.submitted_at,
        tuple(row.events.split()),
    )
