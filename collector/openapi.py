"""/v1/openapi.json: generated from the event Structs."""

from __future__ import annotations

from functools import cache
from typing import Any

from collector.errors import MAX_EVENTS, REFUSALS
from eventlog.schema import schema
from eventlog.topics import SECRET_TYPES

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
    answers |= {status: _refusal(why) for status, why in _refusals().items()}
    post = {
        "summary": "Write feedback events",
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
        "paths": {path: {"post": post}, "/v1/campaigns": {"get": _campaigns()}},
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
    refused = {status: _refusal(why) for status, why in _refusals().items() if status in ("401", "403", "429", "503")}
    return {
        "summary": "The open campaigns of the key's project",
        "security": [{"key": []}],
        "responses": {"200": told, "304": {"description": "as the ETag says"}} | refused,
    }


def _refusals() -> dict[str, str]:
    """Return what each refusing status means; one status may have several codes."""
    found: dict[str, str] = {}
    for status, _, why in REFUSALS:
        found[str(status)] = f"{found[str(status)]}; or {why}" if str(status) in found else why
    return found


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
