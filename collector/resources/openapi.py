"""/v1/openapi.json: generated from the event Structs."""

from __future__ import annotations

from functools import cache
from typing import Any

from collector.errors import MAX_EVENTS, REFUSALS
from contract.schema import schema
from contract.topics import SECRET_TYPES

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "hint"],
            "properties": {name: {"type": "string"} for name in ("code", "message", "hint", "field")},
        }
    },
}
_RETRY_AFTER = {"required": True, "description": "seconds", "schema": {"type": "integer", "minimum": 1}}
_REPORT = {
    "type": "object",
    "description": "What the sender had to give up since its last report, by reason",
    "required": ["event_id", "counts"],
    "properties": {
        "event_id": {"type": "string", "format": "uuid"},
        "counts": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
    },
}


@cache
def document(path: str = "/v1/events") -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the collector, its events address being `path`."""
    events = schema()
    taken = [
        {"$ref": ref["$ref"].replace("#/$defs/", "#/components/schemas/")}
        for ref in events["oneOf"]
        if events["$defs"][ref["$ref"].rsplit("/", 1)[1]]["properties"]["type"].get("enum", [""])[0] in SECRET_TYPES
    ]
    schemas = _moved(events["$defs"])
    schemas["Error"] = _ERROR
    answers = {"202": _answer("all accepted: durable"), "207": _answer("some rejected or to be sent again")}
    answers |= _refused(*_refusals())
    post = {
        "summary": "Write feedback events",
        "operationId": "writeEvents",
        "security": [{"key": []}, {}],
        "requestBody": {
            "required": True,
            "content": {kind: {"schema": _body(taken)} for kind in ("application/json", "text/plain")},
        },
        "responses": answers,
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Thumbwheel collector", "version": "1"},
        "paths": {path: {"post": post}, "/v1/campaigns": {"get": _campaigns()}} | _open_to_all(),
        "components": {"schemas": schemas, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _campaigns() -> dict[str, Any]:
    text, number = {"type": "string"}, {"type": "number"}
    campaign = {
        "type": "object",
        "required": ["campaign_id", "surface", "rate", "cooldown_s"],
        "properties": {"rate": number, "cooldown_s": {"type": "integer"}}
        | {name: text for name in ("campaign_id", "surface", "label", "scenario", "question")},
    }
    shape = {
        "type": "object",
        "required": ["campaigns", "fresh_for_s"],
        "properties": {"campaigns": {"type": "array", "items": campaign}, "fresh_for_s": number},
    }
    told = {"description": "the open ones", "content": {"application/json": {"schema": shape}}}
    return {
        "summary": "The open campaigns of the key's project",
        "operationId": "campaigns",
        "security": [{"key": []}],
        "responses": {"200": told, "304": {"description": "as the ETag says"}} | _refused("401", "403", "429", "503"),
    }


def _open_to_all() -> dict[str, Any]:
    """Return the addresses that ask for no key: is it up, how does it do, how is it used."""
    up = _told("the process is up; what `accepted` promises", ["status", "promise"])
    away = _told("the log cannot be reached", ["status", "error"]) | {"headers": {"Retry-After": _RETRY_AFTER}}
    script = {"description": "the file", "content": {"text/javascript": {"schema": {"type": "string"}}}}
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}, "example": "thumbwheel.js"}
    return {
        "/healthz": _get("health", "The process is up", {"200": up}),
        "/readyz": _get("readiness", "The log can be reached", {"200": up, "503": away}),
        "/metrics": _get(
            "metrics", "What is counted, for Prometheus",
            {"200": {"description": "the metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}},
        ),
        "/sdk/{name}": _get(
            "script", "The built JavaScript",
            {"200": script, "304": {"description": "as the ETag says"}, "404": _refusal("there is no such file")},
        ) | {"parameters": [name]},
        "/v1/openapi.json": _get("description", "This document", {"200": _told("this document", ["openapi", "paths"])}),
    }  # fmt: skip


def _get(name: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {"get": {"operationId": name, "summary": summary, "security": [], "responses": responses}}


def _told(description: str, required: list[str]) -> dict[str, Any]:
    shape: dict[str, Any] = {"type": "object", "required": required}
    if "error" in required:
        shape = {"allOf": [shape, {"$ref": "#/components/schemas/Error"}]}
    return {"description": description, "content": {"application/json": {"schema": shape}}}


def _refusals() -> dict[str, str]:
    """Return what each refusing status means; one status may have several codes."""
    found: dict[str, str] = {}
    for status, _, why in REFUSALS:
        found[str(status)] = f"{found[str(status)]}; or {why}" if str(status) in found else why
    return found


def _refused(*statuses: str) -> dict[str, Any]:
    """Return the answers of these refusing statuses; some say when to come again."""
    answers = {status: _refusal(why) for status, why in _refusals().items() if status in statuses}
    for status in answers.keys() & {"429", "503"}:
        answers[status]["headers"] = {"Retry-After": _RETRY_AFTER}
    return answers


def _refusal(why: str) -> dict[str, Any]:
    return {
        "description": why,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }


def _body(taken: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["events"],
        "properties": {
            "events": {"type": "array", "minItems": 1, "maxItems": MAX_EVENTS, "items": {"oneOf": taken}},
            "sent_at": {"type": "string", "format": "date-time"},
            "key": {"type": "string"},
            "dropped": _REPORT,
        },
    }


def _answer(description: str) -> dict[str, Any]:
    result = {
        "type": "object",
        "required": ["event_id", "status"],
        "properties": {
            "event_id": {"type": ["string", "null"]},
            "status": {"enum": ["accepted", "rejected", "retry"]},
            "error": _ERROR["properties"]["error"],  # type: ignore[index]
        },
    }
    shape = {"type": "object", "required": ["results"], "properties": {"results": {"type": "array", "items": result}}}
    return {"description": description, "content": {"application/json": {"schema": shape}}}


def _moved(value: Any) -> Any:
    """Return the schema with its references pointing into `components`."""
    if isinstance(value, dict):
        return {
            name: item.replace("#/$defs/", "#/components/schemas/") if name == "$ref" else _moved(item)
            for name, item in value.items()
        }
    return [_moved(item) for item in value] if isinstance(value, list) else value
