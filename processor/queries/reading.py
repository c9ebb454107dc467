"""Rows as dicts, cursor paging by (time, key), and values as JSON."""

from __future__ import annotations

import base64
import binascii
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb

from contract.errors import ThumbwheelError

Row = dict[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_LIMIT = 500
# A longer list is no help to choose from: a filter with so many choices takes any text.
MAX_CHOICES = 100


class NotFound(ThumbwheelError):
    """Nothing of that id in this project."""

    status = 404


@dataclass(frozen=True)
class Page:
    """Some rows of a list, and where to read on (None at its end)."""

    items: list[Row]
    next: str | None = None


def rows(cursor: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
    """Run a query and return its rows as dicts; times get their zone (UTC)."""
    result = cursor.execute(query, dict(parameters or {}))
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, map(_aware, row), strict=True)) for row in result.fetchall()]


def one(cursor: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, Any] | None = None) -> Row | None:
    """Return the first row, or None."""
    found = rows(cursor, query, parameters)
    return found[0] if found else None


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def page(
    cursor: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, Any], after: str | None, limit: int
) -> Page:
    """Run a query with `$at`, `$page_key` and `$take`, whose rows carry `page_at` and `page_key`, in their order."""
    at, key = decode_cursor(after)
    found = rows(cursor, query, {**parameters, "at": at, "page_key": key, "take": limit + 1})
    items = found[:limit]
    last = encode_cursor(items[-1]["page_at"], items[-1]["page_key"]) if len(found) > limit else None
    for item in items:
        del item["page_at"], item["page_key"]
    return Page(items, last)


def encode_cursor(at: datetime, key: object) -> str:
    """Return an opaque cursor for the row at (time, key)."""
    text = f"{(at - EPOCH) // timedelta(microseconds=1)}|{key}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(text: str | None) -> tuple[datetime | None, str | None]:
    """Return (time, key) of a cursor, (None, None) of none; raise ThumbwheelError bad_cursor."""
    if not text:
        return None, None
    try:
        micros, _, key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition("|")
        return (EPOCH + timedelta(microseconds=int(micros))).replace(tzinfo=None), str(uuid.UUID(key))
    except (ValueError, binascii.Error, OverflowError, UnicodeDecodeError) as error:
        raise ThumbwheelError(
            "bad_cursor", "The cursor is not one of ours.", "Use `next` of the page before.", "cursor"
        ) from error


def encode_key(key: str) -> str:
    """Return an opaque cursor for an item of a list that is whole in memory."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def decode_key(text: str) -> str:
    """Return the item a cursor of `encode_key` names; raise ThumbwheelError bad_cursor."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (ValueError, binascii.Error) as error:
        raise ThumbwheelError(
            "bad_cursor", "The cursor is not one of ours.", "Use `next` of the page before.", "cursor"
        ) from error


def parse_limit(text: str | None, default: int = 50) -> int:
    """Return how many rows a page has; raise ThumbwheelError bad_limit."""
    if text is None or text == "":
        return default
    if not text.isdigit() or not 1 <= int(text) <= MAX_LIMIT:
        raise ThumbwheelError("bad_limit", f"limit={text!r} is not possible.", f"Use 1 to {MAX_LIMIT}.", "limit")
    return int(text)


def parse_json(text: str | None) -> Any:
    """Return what a JSON column holds, None of a null one."""
    return None if text is None else json.loads(text)


def micros(moment: datetime) -> int:
    """Return microseconds since the epoch."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def jsonable(value: Any) -> Any:
    """Return the value as JSON can hold it: times RFC 3339, ids as text, bytes as replaced UTF-8, no NaN."""
    if isinstance(value, Mapping):
        return {str(name): jsonable(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return [jsonable(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
