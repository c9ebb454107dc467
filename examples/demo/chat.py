"""The chat page: streamed answers with thumbs, and on some turns two answers to choose from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, abort, jsonify, render_template, request, session

from examples.demo.gateway import Gateway, GatewayError, Message

MAX_MESSAGES = 80
MAX_TEXT = 4000


def blueprint(gateway: Gateway) -> Blueprint:
    """Routes of the chat page."""
    routes = Blueprint("chat", __name__)

    @routes.get("/")
    def page() -> str:
        return render_template("chat.html")

    @routes.post("/chat/stream")
    def stream() -> Response:
        messages, about = read_turn(request.get_json(silent=True))
        events = _events(gateway, messages, about)
        return Response(events, mimetype="text/event-stream", headers={"Cache-Control": "no-store"})

    @routes.post("/chat/two")
    def two() -> Response:
        messages, about = read_turn(request.get_json(silent=True))
        return jsonify(gateway.candidates(messages, 2, {"surface": "choice", **about}))

    return routes


def read_turn(body: Any) -> tuple[list[Message], dict[str, Any]]:
    """Return the conversation and what the gateway is told about it; ends the request with 400 when malformed."""
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        abort(400)
    messages = body["messages"][-MAX_MESSAGES:]
    for message in messages:
        if (
            not isinstance(message, dict)
            or message.get("role") not in ("user", "assistant")
            or not isinstance(message.get("content"), str)
            or len(message["content"]) > MAX_TEXT
        ):
            abort(400)
    if not messages or messages[-1]["role"] != "user" or not messages[-1]["content"].strip():
        abort(400)
    conversation = str(body.get("conversation_id", ""))[:128]
    about = {"actor": {"id": f"user-{session['visitor']}", "kind": "user"}, "labels": ["demo/chat"]}
    if conversation.isascii() and conversation.isalnum():
        about["conversation_id"] = conversation
    return [{"role": m["role"], "content": m["content"]} for m in messages], about


def _events(gateway: Gateway, messages: list[Message], about: dict[str, Any]) -> Iterator[bytes]:
    """Server-sent events: the ids, the pieces of the answer, then `done` or an error."""
    pieces = gateway.stream(messages, about)
    try:
        for piece in pieces:
            yield _event(piece)
        yield _event({"done": True})
    except GatewayError as error:
        yield _event({"error": error.code})
    finally:
        # Also when the reader stopped: the model stops with it.
        pieces.close()


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
