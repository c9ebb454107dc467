"""The model gateway: OpenAI's wire and blind candidates for product backends, behind a secret key.

In: HTTP. Out: replies, and an `interaction` event for each (what was shown, by which model).
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from flask import Flask, Response, request
from prometheus_client import Counter, generate_latest
from werkzeug.exceptions import HTTPException

from contract.errors import LogUnavailable, ThumbwheelError
from contract.events import Trial
from contract.ids import is_project_name, uuid7
from contract.signing import sign_candidate
from control_store.control import Control, Key
from eventlog.log import Log
from gateway import blind, chat
from gateway.aliases import Models
from gateway.interactions import Interactions, candidate, interaction_event
from gateway.wire import MAX_BODY_BYTES, CandidatesRequest, ChatRequest, openai_error, parse
from inference.replies import Generator

INTERACTION_HEADER = "x-thumbwheel-interaction-id"
PROJECT_HEADER = "X-Thumbwheel-Project"
# How much of a body that is refused is read: a client reads the answer only once it has sent its request.
DRAIN_BYTES = 64 * 1024 * 1024
_CHUNK = 64 * 1024
REQUESTS = Counter("thumbwheel_gateway_requests_total", "Requests by route and status", ["route", "status"])
log_lines = logging.getLogger(__name__)


def create_app(home_models: Models, log: Log, control: Control, generator: Generator) -> Flask:
    """Return the gateway's WSGI app."""
    app = Flask("thumbwheel-gateway")
    gateway = Gateway(home_models, log, control, generator=generator)
    app.add_url_rule("/v1/models", view_func=gateway.list_models)
    app.add_url_rule("/v1/models/<name>", view_func=gateway.one_model)
    app.add_url_rule("/v1/chat/completions", view_func=gateway.complete, methods=["POST"])
    app.add_url_rule("/v1/candidates", view_func=gateway.candidates, methods=["POST"])
    app.add_url_rule("/healthz", view_func=lambda: {"status": "ok"}, endpoint="healthz")
    app.add_url_rule("/readyz", view_func=gateway.ready)
    app.add_url_rule(
        "/metrics", view_func=lambda: Response(generate_latest(), mimetype="text/plain"), endpoint="metrics"
    )
    app.register_error_handler(ThumbwheelError, _refuse)
    app.register_error_handler(HTTPException, _refuse_http)
    app.register_error_handler(Exception, _refuse_unexpected)
    app.after_request(_count)
    return app


class Gateway:
    """The routes and what they share."""

    def __init__(self, models: Models, log: Log, control: Control, *, generator: Generator) -> None:
        self._models = models
        self._log = log
        self._control = control
        self._generator = generator
        self._interactions = Interactions(log)

    def _caller(self) -> tuple[Key, str]:
        """Return the key and project of this request; raises 401 or 403."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        key = self._control.find_key(text.strip()) if scheme.lower() == "bearer" and text else None
        if key is None:
            raise ThumbwheelError(
                "invalid_key", "The key is missing or unknown.", "Send Authorization: Bearer tw_sec_...", status=401
            )
        if key.kind == "public":
            raise ThumbwheelError(
                "key_not_allowed", "A public key may not use the gateway.", "Use a secret key, on a server.", status=403
            )
        if key.kind != "service":
            return key, key.project
        project = request.headers.get(PROJECT_HEADER, "default")
        if not is_project_name(project):
            raise ThumbwheelError("invalid_project", "That is no project's name.", "Use letters, digits, - and _.")
        return key, project

    def list_models(self) -> dict[str, Any]:
        """GET /v1/models."""
        _, project = self._caller()
        return {"object": "list", "data": [_model(name) for name in self._models.names(project)]}

    def one_model(self, name: str) -> dict[str, Any]:
        """GET /v1/models/NAME."""
        _, project = self._caller()
        self._models.resolve(project, name)
        return _model(name)

    def complete(self) -> Response:
        """POST /v1/chat/completions."""
        raw = _body()
        key, project = self._caller()
        asked = parse(raw, ChatRequest)
        interaction_id = asked.thumbwheel.interaction_id or str(uuid7())
        completion = chat.Completion(
            asked, self._models.resolve(project, asked.model), interaction_id,
            self._sign(key, project, interaction_id, asked, asked.n or 1), project, key.key_id,
        )  # fmt: skip
        headers = {INTERACTION_HEADER: interaction_id}
        if asked.stream:
            stream = chat.Stream(completion, self._generator, self._interactions)
            stream.begin()
            headers |= {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
            return Response(stream, mimetype="text/event-stream", headers=headers)
        return _json(chat.whole(completion, self._generator, self._interactions), headers)

    def candidates(self) -> Response:
        """POST /v1/candidates: the event is durable before the answer, which names no model."""
        raw = _body()
        key, project = self._caller()
        asked = parse(raw, CandidatesRequest)
        interaction_id = asked.thumbwheel.interaction_id or str(uuid7())
        chosen = blind.sides(self._models, project, asked.k, asked.thumbwheel.compare)
        unrecorded = not asked.stored() and asked.thumbwheel.compare is None
        if unrecorded or not self._log_there():
            chosen = blind.champion_only(self._models, project)
        drawn = blind.draw_candidates(self._generator, asked, chosen)
        ids = self._sign(key, project, interaction_id, asked, len(drawn))
        if not self._record(asked, interaction_id, chosen, drawn, ids, project, key) and chosen.challenger:
            # The event may be in the log all the same: other ids, so that no vote can count for texts nobody saw.
            drawn = blind.draw_candidates(self._generator, asked, blind.champion_only(self._models, project))
            ids = self._sign(key, project, interaction_id, asked, len(drawn))
        shown = [{"candidate_id": i, "content": one.reply.text} for i, one in zip(ids, drawn, strict=True)]
        return _json({"interaction_id": interaction_id, "candidates": shown}, {INTERACTION_HEADER: interaction_id})

    def _record(
        self, asked: CandidatesRequest, interaction_id: str, chosen: blind.Sides, drawn: list[blind.Drawn],
        ids: list[str], project: str, key: Key,
    ) -> bool:  # fmt: skip
        if not asked.stored():
            return True
        recorded = asked.sampling().recorded()
        shown = [candidate(i, d.reply, d.model, recorded) for i, d in zip(ids, drawn, strict=True)]
        trial = None
        if chosen.challenger:
            doubled = [i for i, d in zip(ids, drawn, strict=True) if d.duplicate]
            trial = Trial(chosen.challenger, chosen.baseline, chosen.counted, recorded, doubled)
        event = interaction_event(asked, interaction_id, "workbench", shown, trial)
        return self._interactions.record(event, project, key.key_id)

    def _sign(
        self, key: Key, project: str, interaction_id: str, asked: ChatRequest | CandidatesRequest, count: int
    ) -> list[str]:
        actor = asked.thumbwheel.actor
        actor_id = None if actor is None else actor.id
        return [sign_candidate(key.signing_key, key.key_id, project, interaction_id, actor_id) for _ in range(count)]

    def _log_there(self) -> bool:
        try:
            self._log.check()
        except LogUnavailable:
            return False
        return True

    def ready(self) -> tuple[dict[str, Any], int]:
        """GET /readyz: the model answers and keys are known; says when the log is away (replies still come, uncounted).

        What is missing is told by name, in `reason`.
        """
        try:
            self._generator.check()
            self._control.check()
        except ThumbwheelError as error:
            return {"status": "not ready", "reason": error.message}, 503
        try:
            self._log.check()
        except LogUnavailable as error:
            return {"status": "ready", "log": "away", "reason": error.message}, 200
        return {"status": "ready", "log": "ok"}, 200


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "thumbwheel"}


def _json(body: dict[str, Any], headers: dict[str, str] | None = None, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, headers, mimetype="application/json")


def _body() -> bytes:
    """Return the request's body; raises 413 after the rest was read, so that the answer arrives and no reset."""
    raw = request.stream.read(MAX_BODY_BYTES + 1)
    left = DRAIN_BYTES if len(raw) > MAX_BODY_BYTES else 0
    while left > 0 and (chunk := request.stream.read(_CHUNK)):
        left -= len(chunk)
    return raw


def _refuse(error: ThumbwheelError) -> Response:
    return _json(openai_error(error), {"Retry-After": "1"} if error.status in (429, 503) else None, error.status)


def _refuse_http(error: HTTPException) -> Response:
    hints = {404: "See the gateway's reference.", 405: "Check the method."}
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.code or 500, "http_error")
    return _refuse(ThumbwheelError(code, error.name + ".", hints.get(error.code or 500, ""), status=error.code or 500))


def _refuse_unexpected(error: Exception) -> Response:
    log_lines.error("Unexpected error: %s", type(error).__name__, exc_info=error)
    return _refuse(ThumbwheelError("internal_error", "The gateway failed.", "Look at the gateway's log.", status=500))


def _count(response: Response) -> Response:
    route = str(request.url_rule) if request.url_rule else "unknown"
    REQUESTS.labels(route, response.status_code).inc()
    return response
