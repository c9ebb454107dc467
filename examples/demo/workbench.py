"""The workbench page: customers' questions in a queue, four replies each, one of them sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, abort, jsonify, render_template, request, session
from thumbwheel import Client

from examples.demo.gateway import Gateway

QUESTIONS: list[dict[str, str]] = json.loads((Path(__file__).parent / "questions.json").read_text("utf-8"))


def blueprint(gateway: Gateway, feedback: Client) -> Blueprint:
    """Routes of the workbench. The replies it hands out name no model."""
    routes = Blueprint("workbench", __name__, url_prefix="/workbench")
    by_id = {question["id"]: question for question in QUESTIONS}

    @routes.get("")
    def page() -> str:
        return render_template("workbench.html")

    @routes.get("/questions")
    def questions() -> Response:
        return jsonify(questions=QUESTIONS)

    @routes.post("/replies")
    def replies() -> Response:
        question = by_id.get(_text("question_id")) or abort(404)
        about = {
            "surface": "workbench",
            "conversation_id": f"ticket-{question['id']}",
            "actor": {"id": f"agent-{session['visitor']}", "kind": "agent"},
            "labels": [f"demo/{question['topic']}"],
        }
        return jsonify(gateway.candidates([{"role": "user", "content": question["text"]}], 4, about))

    @routes.post("/reaction")
    def reaction() -> Response:
        """What the customer said of the reply that was sent comes from the ticket system, so from the backend."""
        value = _text("value")
        if value not in ("up", "down"):
            abort(400)
        event_id = feedback.thumb(
            interaction_id=_text("interaction_id"),
            candidate_id=_text("candidate_id"),
            value="up" if value == "up" else "down",
            reasons=["solved" if value == "up" else "not_solved"],
            actor={"id": f"customer-{_text('question_id')}", "kind": "user"},
        )
        return jsonify(event_id=event_id)

    return routes


def _text(name: str) -> str:
    """Return a field of the request's JSON; ends the request with 400 when it is no short text."""
    body: Any = request.get_json(silent=True)
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        abort(400)
    return value
