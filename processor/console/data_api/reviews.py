"""In: `/api/v1/reviews`, `/api/v1/adjudications`. Out: the next item, blind; POST decides, and tells who.

A session decides for its own person; a secret key names one: `as`.
"""

from __future__ import annotations

from flask import Blueprint, Response, request

from processor.console.curation.deciding import (
    asked_case,
    decide_adjudication,
    decide_review,
    decider,
    queue,
    told_blind,
)
from processor.console.data_api.answers import answer, json_body
from processor.console.permissions import needs
from processor.queries.curation.deciding import Work

blueprint = Blueprint("api_reviews", __name__, url_prefix="/api/v1")


@blueprint.get("/reviews/next")
@needs("review.work")
def next_review() -> Response:
    """What to review next, of `task` or of all; with `interaction` and `unit`, that item."""
    return _next("review")


@blueprint.post("/reviews")
@needs("review.work")
def post_review() -> Response:
    """Accept, fix or reject an item: {"task_id", "interaction_id", "unit", "verdict", ...}."""
    body = json_body()
    return answer(decide_review(decider(body.get("as")), body), 201)


@blueprint.get("/adjudications/next")
@needs("review.work")
def next_adjudication() -> Response:
    """What to adjudicate next, of `task` or of all; with `interaction` and `unit`, that item."""
    return _next("adjudication")


@blueprint.post("/adjudications")
@needs("review.work")
def post_adjudication() -> Response:
    """Say what is right: {"task_id", "interaction_id", "unit", "letter" with "seen", or "answers"}."""
    body = json_body()
    return answer(decide_adjudication(decider(body.get("as")), body), 201)


def _next(work: Work) -> Response:
    who, asked = decider(request.args.get("as")), request.args
    found = queue(who, work, asked.get("task"))
    case = asked_case(who, work, found, asked)
    told = told_blind(case, work) if case else None
    return answer({"item": told, "left": len(found.items), "own": found.own, "others": found.others})
