"""In: a request to the data API, and a question to the tables. Out: JSON, by pages; what resources of the API share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import duckdb
from flask import Response, g, request
from flask import json as flask_json

from contract.errors import ThumbwheelError
from processor.console.services import project, reading, services
from processor.queries.blinding import NOT_BLIND, Blind, blind_to_people
from processor.queries.history_pages import Places
from processor.queries.reading import Page, Row, decode_key, encode_key, jsonable, parse_limit


def answer(value: Any, status: int = 200) -> Response:
    """Return a value as JSON."""
    return Response(flask_json.dumps(jsonable(value), ensure_ascii=False), status, mimetype="application/json")


def read(question: Callable[[duckdb.DuckDBPyConnection], Any]) -> Response:
    """Answer with what `question` finds in one state of the tables; a Page becomes {items, next}."""
    with reading() as cursor:
        found = question(cursor)
    return answer({"items": found.items, "next": found.next} if isinstance(found, Page) else found)


def paging() -> dict[str, Any]:
    """Return `cursor` and `limit` of the request."""
    return {"after": request.args.get("cursor"), "limit": parse_limit(request.args.get("limit"))}


def places(limit: int) -> Places:
    """Return where to read an interaction on, `cursor` and `events`, and how much: `limit` unless the request says."""
    return Places(request.args.get("cursor"), request.args.get("events"), parse_limit(request.args.get("limit"), limit))


def slice_page(items: Sequence[Row], key: str) -> Page:
    """Return a page of a list that is whole in memory, read on after the item the cursor names."""
    limit = parse_limit(request.args.get("limit"), 200)
    start = 0
    if after := request.args.get("cursor"):
        wanted = decode_key(after)
        places = [index for index, item in enumerate(items) if item[key] == wanted]
        if not places:
            raise ThumbwheelError("bad_cursor", "The cursor's item is gone.", "Read from the start.", "cursor")
        start = places[0] + 1
    taken = list(items[start : start + limit])
    return Page(taken, encode_key(taken[-1][key]) if taken and start + limit < len(items) else None)


def blind(cursor: duckdb.DuckDBPyConnection) -> Blind:
    """Return what is hidden from the caller: who wrote what in tests that are undecided, unless it is a service."""
    return NOT_BLIND if g.user.is_service else blind_to_people(cursor, project(), services().settings)


class Behind(ThumbwheelError):
    """The tables are incomplete: what is decided over them waits."""

    status = 503


def refuse_while_behind() -> None:
    """Raise Behind to the trainer, which then asks again later; people are told on every page."""
    late = services().freshness.behind()
    if late and g.user.is_service:
        names = ", ".join(map(str, late))
        raise Behind("behind", f"Partitions {names} are behind the log.", "Ask again once the processors caught up.")


def json_body() -> dict[str, Any]:
    """Return the request's JSON object; an empty body is an empty one."""
    body = request.get_json(force=True, silent=True) if request.get_data(cache=True) else {}
    if not isinstance(body, dict):
        raise ThumbwheelError("invalid_json", "The body is not a JSON object.", "Send an object, or nothing.")
    return body
