"""In: items in review or in dispute. Out: one at a time, blind; a person's decision, and after it who said what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for

from contract.errors import ThumbwheelError
from processor.console.curation.answering import NO_FIELD, answers_of_form, field_of, in_words
from processor.console.curation.deciding import (
    BACK_TO,
    Case,
    Decider,
    asked_case,
    decide_adjudication,
    decide_review,
    decider,
    open_case,
    queue,
    said_in_short,
)
from processor.console.formats import in_language
from processor.console.permissions import needs
from processor.console.services import project, reading, services
from processor.curation.labels import LabelDef
from processor.queries.curation.deciding import Opinion, Work, decided_item, decision
from processor.queries.labels import list_labels
from processor.queries.reading import Row
from processor.queries.tasks import get_task

blueprint = Blueprint("review", __name__)


@blueprint.get("/review")
@needs("review.work")
def show() -> Any:
    """Show what to review next, or the item that the address names."""
    return _page("review")


@blueprint.post("/review")
@needs("review.work")
def decide() -> Any:
    """Take a verdict; say beside the item what was wrong with it."""
    return _decided("review", decide_review, _verdict)


@blueprint.get("/adjudicate")
@needs("review.work")
def dispute() -> Any:
    """Show what people disagree about next, or the item that the address names."""
    return _page("adjudication")


@blueprint.post("/adjudicate")
@needs("review.work")
def settle() -> Any:
    """Take an adjudication; say beside the item what was wrong with it."""
    return _decided("adjudication", decide_adjudication, _settlement)


ENDPOINTS: dict[Work, str] = {"review": ".show", "adjudication": ".dispute"}


def _page(work: Work, problem: ThumbwheelError | None = None, given: Mapping[str, Any] | None = None) -> str:
    who, asked = decider(), given or request.args
    task_id = request.args.get("task") or None
    found = queue(who, work, task_id)
    case = asked_case(who, work, found, asked)
    return render_template(
        "review.html" if work == "review" else "adjudicate.html", case=case, found=found, problem=problem,
        given=request.form, done=_done(who), rows=_rows(case) if case else [],
        people=[_opinion(case, one) for one in case.opinions.people] if case else [],
        models=[_opinion(case, one) for one in case.opinions.models] if case else [],
        fields=_fields(case, work) if case else [], task_id=task_id, back_to=BACK_TO,
        returns=case.task.stage(case.item.state.stage).return_to if case else "same",
    )  # fmt: skip


def _decided(work: Work, decide: Callable[[Decider, Row], Row], read: Callable[[Case], Row]) -> Any:
    form, who = request.form, decider()
    place = {"task": form.get("task_id", ""), "interaction": form.get("interaction_id", ""),
             "unit": form.get("unit", "")}  # fmt: skip
    case = open_case(who, work, place["task"], place["interaction"], place["unit"])
    try:
        told = decide(who, read(case) | _place_of(form))
    except ThumbwheelError as error:
        if error.status != 400:
            raise
        return _page(work, error, place), error.status
    return redirect(url_for(ENDPOINTS[work], task=form.get("only") or None, done=told["event_id"]), 303)


def _place_of(form: Any) -> Row:
    place: Row = {name: form.get(name, "") for name in ("task_id", "interaction_id", "unit", "seen")}
    return place | ({"round": int(text)} if (text := form.get("round", "")).isdecimal() else {})


def _verdict(case: Case) -> Row:
    form = request.form
    told: Row = {"verdict": form.get("verdict"), "comment": form.get("comment", "").strip()}
    if told["verdict"] == "fix":
        told["answers"] = answers_of_form(form, case.asked, case.names)
    if told["verdict"] == "reject":
        told["return_to"] = form.get("return_to")
    return told


def _settlement(case: Case) -> Row:
    form = request.form
    told: Row = {"note": form.get("note", "").strip()}
    if letter := form.get("letter"):
        return told | {"letter": letter}
    return told | {"answers": answers_of_form(form, case.asked, case.names)}


def _rows(case: Case) -> list[Row]:
    """Return what was said by label, each value once."""
    labels = {label.path: label for label in case.asked}
    return [
        {"path": path, "title": _title(labels.get(path), path), "differs": path in case.opinions.differ,
         "values": [in_words(labels.get(path), value, case.names) for value in values]}
        for path, values in said_in_short(case.opinions).items()
    ]  # fmt: skip


def _opinion(case: Case, one: Opinion) -> Row:
    labels = {label.path: label for label in case.asked}
    told = [
        {"title": _title(labels.get(path), path), "text": in_words(labels.get(path), value, case.names),
         "differs": path in case.opinions.differ}
        for path, value in one.values.items()
    ]  # fmt: skip
    return {"letter": one.letter, "answers": told}


def _fields(case: Case, work: Work) -> list[Row]:
    """Return the fields of a fix, with what most people said in them, or of an own answer, empty."""
    short = said_in_short(case.opinions) if work == "review" else {}
    return [
        field_of(label, values[0] if len(values := short.get(label.path, [])) == 1 else None, case.names)
        for label in case.asked if label.kind not in NO_FIELD
    ]  # fmt: skip


def _title(label: LabelDef | None, path: str) -> str:
    return (in_language(label.title) if label else "") or path


def _done(who: Decider) -> Row | None:
    """Return the decision just made, with who said what; None where the address names none of this person's."""
    if not (event_id := request.args.get("done")):
        return None
    with reading() as cursor:
        told = decision(cursor, project(), event_id, who.person)
        if told is None:
            return {"held": False}
        task = get_task(cursor, project(), told["task_id"])
        opinions = decided_item(cursor, project(), task, told, services().books)
        labels = list_labels(cursor, project())
    people = [
        {"person": one.person, "kind": one.kind, "answers": [
            {"title": _title(labels.get(path), path), "text": in_words(labels.get(path), value, ())}
            for path, value in one.values.items()
        ]} for one in [*opinions.people, *opinions.models]
    ]  # fmt: skip
    return {"held": True, "verdict": told["verdict"] or told["kind"], "people": people}
