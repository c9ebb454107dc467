"""Reviews and adjudications: who may decide about an item, what is shown of it, and the decision in the log.

Nobody decides about an item they answered, whichever way they come. Who said what is told after the decision only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import msgspec
from flask import g

from contract.errors import ThumbwheelError
from eventlog.log import append_all
from processor.console.access import Caller, actor_id
from processor.console.curation.defining import wait_until_held
from processor.console.permissions import allows
from processor.console.services import project, reading, services
from processor.curation.labels import LabelDef
from processor.curation.questions import asked_labels, check_answers, question_of
from processor.curation.tasks import Task
from processor.queries.curation.deciding import (
    STANDS,
    Opinions,
    Waiting,
    Work,
    may_take_decision,
    opinions_of,
    tier_for,
    waiting,
)
from processor.queries.curation.shown import guidelines, shown_item
from processor.queries.labels import list_labels
from processor.queries.reading import NotFound, Row
from processor.queries.tasks import TaskItem, find_item, get_task

VERDICTS = ("accept", "fix", "reject")
# So many items are tried before a queue counts as empty.
LOOKS = 50
BACK_TO = ("same", "other", "none")
_HELD = "SELECT count(DISTINCT event_id) FROM reviews WHERE project = ? AND event_id IN (SELECT unnest(?::TEXT[]))"


class NotYours(ThumbwheelError):
    """This person may not decide about this item."""

    status = 403


class Moved(ThumbwheelError):
    """The item does not stand where it stood any more."""

    status = 409


@dataclass(frozen=True)
class Decider:
    """Who decides, and of which tier their word is."""

    caller: Caller
    person: str
    tier: str


@dataclass(frozen=True)
class Case:
    """An item before somebody who may decide about it: what is asked, what is shown, what was said."""

    task: Task
    item: TaskItem
    asked: list[LabelDef]
    messages: list[Row]
    candidates: list[Row]
    guidelines: list[Row]
    opinions: Opinions

    @property
    def names(self) -> list[str]:
        """Return the ids of the replies, in the order in which they are shown."""
        return [str(one["candidate_id"]) for one in self.candidates]


def decider(named: Any = None) -> Decider:
    """Return who decides: the session's person, or whom a key names. Raises ThumbwheelError."""
    caller: Caller = g.user
    if caller.key is None:
        return Decider(caller, actor_id(caller.name), caller.tier)
    if not isinstance(named, str) or not named:
        raise ThumbwheelError("no_person", "A key works for nobody by itself.", "Name a user: as=NAME.", "as")
    user = services().control.find_user(named)
    if user is None or user.disabled or not allows("review.work", user.role):
        raise NotFound(
            "unknown_user", f"{named!r} is no user who may review.", "thumbwheel users list shows them.", "as"
        )
    return Decider(caller, actor_id(user.name), user.tier)


def queue(who: Decider, work: Work, task_id: str | None = None) -> Waiting:
    """Return what waits for this person."""
    with reading() as cursor:
        return waiting(cursor, project(), work, who.person, who.tier, services().books, task_id or None)


def next_case(who: Decider, work: Work, found: Waiting) -> Case | None:
    """Return the first item that can be shown: one whose conversation is not in the tables holds up no other."""
    for task, item in found.items[:LOOKS]:
        with suppress(NotFound, Moved, NotYours):
            return open_case(who, work, task.task_id, item.interaction_id, item.unit)
    return None


def asked_case(who: Decider, work: Work, found: Waiting, asked: Mapping[str, str]) -> Case | None:
    """Return the item that a request names (`task`, `interaction`, `unit`), else the next one that waits."""
    if "interaction" in asked:
        return open_case(who, work, asked.get("task", ""), asked["interaction"], asked.get("unit", ""))
    return next_case(who, work, found)


def open_case(who: Decider, work: Work, task_id: str, interaction_id: str, unit: str) -> Case:
    """Return an item to decide about; raises NotFound, NotYours (403), Moved (409)."""
    with reading() as cursor:
        task = get_task(cursor, project(), task_id)
        item = find_item(cursor, project(), task, (interaction_id, unit), services().books)
        _check_allowed(who, work, task, item)
        return _case(cursor, who, task, item)


def _check_allowed(who: Decider, work: Work, task: Task, item: TaskItem) -> None:
    if not item.state.may_decide(who.person):
        raise NotYours(
            "own_answer", f"{who.person} answered this item.", "Somebody who did not answer it decides about it."
        )
    if item.state.state != STANDS[work]:
        raise Moved("item_moved", "The item stands elsewhere by now.", "Take the next one.", "state")
    if not may_take_decision(task, item, work, who.person, who.tier):
        raise NotYours(
            "other_tier", f"The item is for the tier {tier_for(task, item.state, work)}, or for people who are named.",
            "Ask a manager.",
        )  # fmt: skip


def _case(cursor: duckdb.DuckDBPyConnection, who: Decider, task: Task, item: TaskItem) -> Case:
    shown = shown_item(cursor, project(), item.interaction_id, item.unit, who.person)
    labels = list_labels(cursor, project())
    asked = asked_labels(task, labels, item.unit, [one["candidate_id"] for one in shown["candidates"]])
    names = {name for name in (task.guideline, *(label.guideline for label in asked)) if name}
    return Case(
        task, item, asked, shown["messages"], shown["candidates"], guidelines(cursor, project(), names),
        opinions_of(cursor, project(), task, item),
    )  # fmt: skip


def told_blind(case: Case, work: Work) -> Row:
    """Return a case as JSON-ready values: nobody's name in it, no model's, and no event's."""
    state, opinions = case.item.state, case.opinions
    told: Row = {
        "task_id": case.task.task_id, "interaction_id": case.item.interaction_id, "unit": case.item.unit,
        "stage": state.stage, "round": state.round, "agreement": state.agreement, "seen": opinions.seen,
        "messages": case.messages, "candidates": case.candidates, "guidelines": case.guidelines,
        "questions": [question_of(label) for label in case.asked], "differ": opinions.differ,
    }  # fmt: skip
    if work == "review":
        return told | {"answers": said_in_short(opinions), "return_to": case.task.stage(state.stage).return_to}
    return told | {
        "answers": [{"letter": one.letter, "answers": dict(one.values)} for one in opinions.people],
        "ai": [dict(one.values) for one in opinions.models],
    }


def said_in_short(opinions: Opinions) -> dict[str, list[Any]]:
    """Return by label what was said, each value once, in an order that says nothing of who said it or how many."""
    found: dict[str, dict[bytes, Any]] = {}
    for opinion in opinions.people:
        for label, value in opinion.values.items():
            found.setdefault(label, {})[msgspec.json.encode(value, order="sorted")] = value
    return {label: [values[key] for key in sorted(values)] for label, values in sorted(found.items())}


def told_after(opinions: Opinions) -> list[Row]:
    """Return who said what, which a decision reveals."""
    return [
        {"letter": one.letter, "actor": one.person, "kind": one.kind, "answers": dict(one.values)}
        for one in [*opinions.people, *opinions.models]
    ]


def decide_review(who: Decider, given: Mapping[str, Any]) -> Row:
    """Append a reviewer's verdict; returns its event id and who said what. Raises ThumbwheelError."""
    case = _case_of(who, "review", given)
    verdict, back = given.get("verdict"), given.get("return_to") or case.task.stage(case.item.state.stage).return_to
    if verdict not in VERDICTS:
        raise _refused(f"No verdict is {verdict!r}.", f"Use one of: {', '.join(VERDICTS)}.", "verdict")
    if back not in BACK_TO:
        raise _refused(f"Nothing goes back to {back!r}.", f"Use one of: {', '.join(BACK_TO)}.", "return_to")
    body: dict[str, Any] = {"type": "review", "verdict": verdict, "reasons": given.get("reasons") or []}
    comment = given.get("comment")
    if verdict == "reject":
        if not body["reasons"] and not (isinstance(comment, str) and comment.strip()):
            raise _refused("A rejection needs a reason.", "Send reasons, or a comment.", "comment")
        body["return_to"] = back
    if verdict == "fix":
        body["answers"] = _answers(case, given.get("answers"))
    return _append(who, case, body | ({"comment": comment} if comment else {}))


def decide_adjudication(who: Decider, given: Mapping[str, Any]) -> Row:
    """Append what is right: the answers under a letter, or own ones. Returns as `decide_review`."""
    case = _case_of(who, "adjudication", given)
    letter, note = given.get("letter"), given.get("note")
    if (letter is None) == (not given.get("answers")):
        raise _refused("Neither a letter nor answers.", "Send one of letter and answers.", "answers")
    if letter is None:
        answers = _answers(case, given["answers"])
    else:
        chosen = case.opinions.of(str(letter))
        if chosen is None:
            raise _refused(f"Nobody's answers are under {str(letter)[:20]!r}.", "Send a letter shown.", "letter")
        if given.get("seen") != case.opinions.seen:
            raise Moved(
                "item_moved", "More was said about the item since: letters stand for others now.", "Look at it again.",
                "seen",
            )  # fmt: skip
        answers = dict(chosen.values)
    body = {"type": "adjudication", "answers": answers, "basis": case.opinions.basis}
    return _append(who, case, body | ({"note": note} if note else {}))


def _case_of(who: Decider, work: Work, given: Mapping[str, Any]) -> Case:
    names = [given.get("task_id"), given.get("interaction_id"), given.get("unit", "")]
    if not all(isinstance(name, str) for name in names):
        raise _refused("No item is named.", "Send task_id, interaction_id and unit.", "interaction_id")
    case = open_case(who, work, *map(str, names))
    if given.get("round", case.item.state.round) != case.item.state.round:
        raise Moved("item_moved", "The item is in another round by now.", "Take the next one.", "round")
    return case


def _answers(case: Case, given: Any) -> dict[str, Any]:
    """Return answers that fit what the item is asked; some of its labels are enough."""
    if not isinstance(given, dict) or not given:
        raise _refused("The answers are missing.", "Send answers by label.", "answers")
    asked: Sequence[LabelDef] = [replace(label, required=False) for label in case.asked]
    check_answers(asked, given, case.names)
    return given


def _append(who: Decider, case: Case, body: Mapping[str, Any]) -> Row:
    state = case.item.state
    event = who.caller.event(project(), {
        "actor": {"id": who.person, "kind": who.tier}, "interaction_id": case.item.interaction_id,
        "task_id": case.task.task_id, "stage": state.stage, "round": state.round, "unit": case.item.unit, **body,
    })  # fmt: skip
    append_all(services().log, [event])
    wait_until_held(project(), [event.event_id], _HELD)
    return {"event_id": event.event_id, "said": told_after(case.opinions)}


def _refused(message: str, hint: str, field: str) -> ThumbwheelError:
    return ThumbwheelError("invalid_decision", message, hint, field)
