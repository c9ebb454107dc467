"""What an annotator does with an item: get the next one, keep a draft, submit, skip, put off, take back.

In: a person, what they say. Out: events in the log, a row of the control store for who holds what. The order of a
submission: its slot is kept, the event is appended durably, then the slot is marked done. The event's id comes of
place, token and content: what is sent twice is one event.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
from flask import g

from contract.errors import ThumbwheelError
from contract.events import Event
from contract.ids import derived_id
from control_store import key_store
from control_store.leases import Lease, Offer, Place
from eventlog.log import append_all
from processor.console.access import Caller, actor_id
from processor.console.permissions import allows
from processor.console.services import books, drafts, leases, project, reading, services
from processor.curation.labels import LabelDef
from processor.curation.questions import asked_labels, check_answers, check_reason, question_of
from processor.curation.tasks import Task, reaches
from processor.queries.curation.shown import guidelines, shown_item
from processor.queries.labels import list_labels
from processor.queries.reading import NotFound, Row
from processor.queries.tasks import TaskItem, find_item, get_task, list_tasks, work_for

# An item that is only loaded beforehand is kept for so long.
AHEAD = timedelta(seconds=60)
# Items looked at together, and how often, before a queue counts as empty for now: the rest is in others' hands.
AT_ONCE, LOOKS = 24, 20
# What was submitted so long ago is in the tables, unless these are known to be behind.
KNOWN = timedelta(minutes=10)
MAX_COMMENT = 4000


@dataclass(frozen=True)
class Worker:
    """Whose answers they are, and of which tier; a guest is bound to one task."""

    person: str
    tier: str
    bound: str | None = None


def worker(named: Any = None) -> Worker:
    """Return who works: the session's person, or whom a key names. Raises ThumbwheelError."""
    caller = g.user
    if caller.key is None:
        return Worker(actor_id(caller.name), caller.tier, caller.task)
    if not isinstance(named, str) or not named:
        raise ThumbwheelError("no_person", "A key works for nobody by itself.", "Name a user: as=NAME.", "as")
    user = services().control.find_user(named)
    if user is None or user.disabled or not allows("label.work", user.role):
        raise ThumbwheelError(
            "unknown_user", f"{named!r} is no user who may label.", "thumbwheel users list shows them.", "as", 404
        )
    return Worker(actor_id(user.name), user.tier)


def my_tasks(who: Worker) -> list[Row]:
    """Return the open tasks that have a stage this person may answer at, and how much they did."""
    with reading() as cursor:
        tasks = [task for task in list_tasks(cursor, project()) if _may_work(task, who)]
        return [
            {
                "task_id": task.task_id, "title": task.title, "description": task.description,
                "waiting": bool(_some_work(cursor, task, who)),
                "mine": leases().counted(project(), task.task_id, who.person),
            }
            for task in tasks
        ]  # fmt: skip


def _may_work(task: Task, who: Worker) -> bool:
    if task.state != "open" or (who.bound is not None and task.task_id != who.bound):
        return False
    return any(stage.kind == "answer" and reaches(who.tier, stage.tier) for stage in task.stages)


def _some_work(cursor: duckdb.DuckDBPyConnection, task: Task, who: Worker) -> bool:
    if leases().live(project(), task.task_id, who.person):
        return True
    done = leases().unavailable(project(), task.task_id, who.person)
    put_off = {(one.place.interaction_id, one.place.unit) for one in _put_off(task, who)}
    return bool(work_for(cursor, project(), task, who.person, who.tier, done - put_off, books(), 1))


def open_task(cursor: duckdb.DuckDBPyConnection, who: Worker, task_id: str) -> Task:
    """Return a task that this person may work on; raises NotFound, ThumbwheelError (403)."""
    if who.bound is not None and task_id != who.bound:
        raise ThumbwheelError("other_task", "This link is for another task.", "Open the link again.", None, 403)
    task = get_task(cursor, project(), task_id)
    if not any(stage.kind == "answer" and reaches(who.tier, stage.tier) for stage in task.stages):
        raise ThumbwheelError(
            "other_tier", f"The task asks people of another tier than {who.tier}.", "Ask a manager.", None, 403
        )
    return task


def next_item(who: Worker, task_id: str, have: frozenset[str]) -> Row:
    """Return what this person answers next, besides the tokens they `have`; None when nothing waits for them."""
    with reading() as cursor:
        task = open_task(cursor, who, task_id)
        told = None
        if task.state == "open":
            told = _in_hand(cursor, task, who, have) or _granted(cursor, task, who, ahead=bool(have))
        return {
            "item": told, "state": task.state, "mine": leases().counted(project(), task_id, who.person),
            "others": told is None and _in_other_hands(cursor, task, who),
        }  # fmt: skip


def _in_hand(cursor: duckdb.DuckDBPyConnection, task: Task, who: Worker, have: frozenset[str]) -> Row | None:
    for lease in leases().live(project(), task.task_id, who.person):
        if lease.token in have:
            continue
        try:
            item = find_item(cursor, project(), task, (lease.place.interaction_id, lease.place.unit), books())
            current = (item.state.stage, item.state.round) == (lease.place.stage, lease.place.round)
            if current and item.state.may_answer(who.person):
                renewed = leases().renew(lease.token, who.person, _lasts(task, lease.place.stage, bool(have)),
                                         ahead=bool(have))  # fmt: skip
                if renewed is not None:
                    return _told(cursor, task, who, renewed)
        except NotFound:
            pass
        leases().give_back(lease.token, who.person, "given_on")
    return None


def _granted(cursor: duckdb.DuckDBPyConnection, task: Task, who: Worker, *, ahead: bool) -> Row | None:
    out = leases().unavailable(project(), task.task_id, who.person)
    put_off = {(one.place.interaction_id, one.place.unit) for one in _put_off(task, who)}
    # What was put off comes when nothing else is left.
    for excluded in (set(out), out - put_off) if put_off else (set(out),):
        for _ in range(LOOKS):
            found = work_for(
                cursor, project(), task, who.person, who.tier, excluded, books(), AT_ONCE
            )  # fmt: skip
            if not found:
                break
            offers = [_offer(task, item) for item in found]
            lasts = _lasts(task, found[0].state.stage, ahead)
            lease = leases().grant(offers, who.person, lasts, ahead=ahead, known_to=_known_to())
            if lease is not None:
                return _told(cursor, task, who, lease)
            excluded |= {(item.interaction_id, item.unit) for item in found}
    return None


def _put_off(task: Task, who: Worker) -> list[Lease]:
    return leases().postponed(project(), task.task_id, who.person)


def _in_other_hands(cursor: duckdb.DuckDBPyConnection, task: Task, who: Worker) -> bool:
    """Say whether items wait that others hold just now: they may come back."""
    out = leases().unavailable(project(), task.task_id, who.person)
    return bool(work_for(cursor, project(), task, who.person, who.tier, out, books(), 1))


def _offer(task: Task, item: TaskItem) -> Offer:
    place = Place(
        project(), task.task_id, item.interaction_id, item.unit, item.state.stage, item.state.round
    )  # fmt: skip
    return Offer(place, item.state.wanted, frozenset(item.state.people))


def _lasts(task: Task, stage: int, ahead: bool) -> timedelta:
    whole = timedelta(seconds=task.stage(stage).lease_s)
    return min(AHEAD, whole) if ahead else whole


def _known_to() -> datetime | None:
    return None if services().freshness.behind() else key_store.now() - KNOWN


def _told(cursor: duckdb.DuckDBPyConnection, task: Task, who: Worker, lease: Lease) -> Row:
    """Return an item as its annotator gets it."""
    place = lease.place
    shown = shown_item(cursor, project(), place.interaction_id, place.unit, who.person)
    names = [one["candidate_id"] for one in shown["candidates"]]
    asked = asked_labels(task, list_labels(cursor, project()), place.unit, names)
    draft = drafts().read(place, who.person)
    return {
        "token": lease.token, "task_id": task.task_id, "interaction_id": place.interaction_id, "unit": place.unit,
        "stage": place.stage, "round": place.round, "ahead": lease.state == "ahead",
        "lease_s": task.stage(place.stage).lease_s, "expires_at": lease.expires_at.replace(tzinfo=UTC), **shown,
        "questions": [question_of(label) for label in asked],
        "draft": json.loads(draft.body) if draft else None, "draft_saved_at": draft.saved_at if draft else None,
    }  # fmt: skip


def renew(who: Worker, task_id: str, token: str) -> Row:
    """Let a lease run on, or begin with an item that was loaded ahead; `held` is False where it was given on."""
    with reading() as cursor:
        task = open_task(cursor, who, task_id)
    lease = leases().find(token, who.person)
    renewed = lease and leases().renew(token, who.person, _lasts(task, lease.place.stage, False))
    return {"held": bool(renewed), "expires_at": renewed.expires_at.replace(tzinfo=UTC) if renewed else None}


def keep_draft(who: Worker, task_id: str, body: Mapping[str, Any]) -> Row:
    """Keep a draft, whoever holds the slot by now; keeping one is activity, too."""
    lease = _lease(who, task_id, body)
    drafts().save(lease.place, who.person, json.dumps(body.get("draft"), ensure_ascii=False))
    return renew(who, task_id, lease.token)


def postpone(who: Worker, task_id: str, body: Mapping[str, Any]) -> Row:
    """Put an item off; its draft stays."""
    return {"postponed": leases().give_back(_lease(who, task_id, body).token, who.person, "postponed")}


def submit(who: Worker, task_id: str, body: Mapping[str, Any]) -> Row:
    """Append what a person answers about an item; the same sent again is the same event, other answers replace it."""
    with reading() as cursor:
        task = open_task(cursor, who, task_id)
        lease = _lease(who, task_id, body, cursor)
        place = lease.place
        shown = shown_item(cursor, project(), place.interaction_id, place.unit, who.person)
        names = [one["candidate_id"] for one in shown["candidates"]]
        asked = asked_labels(task, list_labels(cursor, project()), place.unit, names)
    answers = body.get("answers")
    if not isinstance(answers, dict):
        raise ThumbwheelError("invalid_json", "answers is no JSON object.", "Send {path: value}.", "answers")
    check_answers(asked, answers, names)
    said = {"answers": answers, **_beside(body), "label_versions": _versions(asked, answers), "shown": names}
    return _append(who, task, lease, said)


def skip(who: Worker, task_id: str, body: Mapping[str, Any]) -> Row:
    """Append that a person cannot answer an item, and why; it goes to somebody else."""
    with reading() as cursor:
        task = open_task(cursor, who, task_id)
        lease = _lease(who, task_id, body, cursor)
    return _append(who, task, lease, {"skipped": check_reason(body.get("reason")), **_beside(body)})


def undo(who: Worker, task_id: str, body: Mapping[str, Any]) -> Row:
    """Take back what the person said last (or under a token), and return the item with the draft that is sent along."""
    token = body.get("token")
    found = (
        leases().find(token, who.person) if isinstance(token, str) else leases().latest(project(), task_id, who.person)
    )
    if found is None or not found.events or found.place.task_id != task_id:
        raise ThumbwheelError("nothing_to_undo", "There is nothing to take back.", "Submit something first.", None, 409)
    retracts = [
        _event(who, {
            "type": "retract", "event_id": str(derived_id("undo", event_id)), "target": event_id,
            "interaction_id": found.place.interaction_id, "occurred_at": datetime.now(UTC).isoformat(),
        })
        for event_id in found.events
    ]  # fmt: skip
    append_all(services().log, retracts)
    if body.get("draft") is not None:
        drafts().save(found.place, who.person, json.dumps(body["draft"], ensure_ascii=False))
    with reading() as cursor:
        task = open_task(cursor, who, task_id)
        lasts = _lasts(task, found.place.stage, False)
        back = leases().take_back(found.token, who.person, lasts)
        if back is not None and back.slot is None:
            # What was skipped has no slot; there may be one.
            item = find_item(cursor, project(), task, (back.place.interaction_id, back.place.unit), books())
            back = leases().grant([_offer(task, item)], who.person, lasts) or back
        return {"retracted": list(found.events), "item": _told(cursor, task, who, back) if back else None}


def guidelines_of(who: Worker, task_id: str) -> list[Row]:
    """Return the guidelines of a task and of its labels."""
    with reading() as cursor:
        task = open_task(cursor, who, task_id)
        labels = list_labels(cursor, project())
        names = {task.guideline, *(labels[path].guideline for path in task.labels if path in labels)}
        return guidelines(cursor, project(), {name for name in names if name})


def _lease(
    who: Worker, task_id: str, body: Mapping[str, Any], cursor: duckdb.DuckDBPyConnection | None = None
) -> Lease:
    """Return the person's lease of a token; with a cursor also one that a lost control store knows no more."""
    token = body.get("token")
    if not isinstance(token, str) or not 0 < len(token) <= 64:
        raise ThumbwheelError("no_token", "The item's token is missing.", "Send the token that came with it.", "token")
    found = leases().find(token, who.person)
    if found is None and cursor is not None and isinstance(body.get("item"), dict):
        found = _adopted(cursor, who, task_id, body["item"], token)
    if found is None or found.place.task_id != task_id:
        raise ThumbwheelError(
            "unknown_lease", "No item is known under this token.", "Ask for the next item.", "token", 404
        )
    return found


def _adopted(
    cursor: duckdb.DuckDBPyConnection, who: Worker, task_id: str, named: Mapping[str, Any], token: str
) -> Lease | None:
    task = get_task(cursor, project(), task_id)
    item = (str(named.get("interaction_id")), str(named.get("unit", "")))
    state = find_item(cursor, project(), task, item, books()).state
    stage, number = named.get("stage"), named.get("round")
    if not isinstance(stage, int) or not isinstance(number, int) or not 0 <= stage < len(task.stages):
        return None
    if not 0 <= number <= state.round or who.person in state.deciders or not reaches(who.tier, task.stage(stage).tier):
        return None
    return leases().adopt(Place(project(), task_id, *item, stage, number), who.person, token)


def _beside(body: Mapping[str, Any]) -> Row:
    found: Row = {}
    comment, active_ms = body.get("comment"), body.get("active_ms")
    if comment is not None and comment != "":
        if not isinstance(comment, str) or len(comment) > MAX_COMMENT:
            raise ThumbwheelError(
                "invalid_comment", "The note is no text, or too long a one.", f"Send 1 to {MAX_COMMENT} characters.",
                "comment",
            )  # fmt: skip
        found["comment"] = comment
    if isinstance(active_ms, int) and not isinstance(active_ms, bool) and 0 <= active_ms < 2**53:
        found["active_ms"] = active_ms
    return found


def _versions(asked: list[LabelDef], answers: Mapping[str, Any]) -> dict[str, int]:
    return {label.path: label.version for label in asked if label.path in answers}


def _append(who: Worker, task: Task, lease: Lease, said: Row) -> Row:
    stage = task.stage(lease.place.stage)
    begun = leases().begin_submit(lease.token, who.person, stage.k + stage.extra)
    if begun is None:
        raise ThumbwheelError(
            "unknown_lease", "No item is known under this token.", "Ask for the next item.", "token", 404
        )
    content = json.dumps({name: value for name, value in said.items() if name != "active_ms"}, sort_keys=True)
    event_id = str(derived_id("annotation", begun.place.key, begun.token, content))
    state = "skipped" if "skipped" in said else "late" if begun.state == "late" else "done"
    told = {"event_id": event_id, "state": state, "slot": begun.slot}
    if event_id in begun.events:
        return told | {"repeated": True}
    changed = bool(begun.events) or begun.submitted_at is None
    at = datetime.now(UTC) if changed else begun.submitted_at.replace(tzinfo=UTC)  # type: ignore[union-attr]
    place = begun.place
    event = _event(who, {
        "type": "annotation", "event_id": event_id, "occurred_at": at.isoformat(), "task_id": task.task_id,
        "interaction_id": place.interaction_id, "unit": place.unit, "stage": place.stage, "round": place.round,
        "task_version": task.version, "slot": begun.slot or 0, **said,
    })  # fmt: skip
    append_all(services().log, [event])
    leases().done(begun, state, event_id)
    drafts().remove(place, who.person)
    return told | {"repeated": False}


def _event(who: Worker, fields: Row) -> Event:
    caller: Caller = g.user
    return caller.event(project(), {**fields, "actor": {"id": who.person, "kind": who.tier}})
