"""rejected list, show and retry: what could not be taken in, why, and bringing it in after all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from cli.api import data_api
from cli.context import Context, pass_context, shared_options
from contract.errors import EventError, ThumbwheelError

if TYPE_CHECKING:
    from contract.events import Event
    from eventlog.log import Log, Record
    from eventlog.rejected import Place

SHOWN_BYTES = 4000
# Held in memory together, 256 KiB each at most.
RETRIED_AT_ONCE = 200


@click.group()
def rejected() -> None:
    """Rejected events: refused by the collector, or not understood by the processor."""


@rejected.command("list")
@click.option("--code", default=None, help="Only those rejected for this reason.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@shared_options
@pass_context
def list_rejected(context: Context, code: str | None, limit: int) -> None:
    """List rejected events, newest first, with reason and position."""
    rows = list(islice(_rows(context, code), limit))
    context.table(rows, ("position", "received", "code", "message", "key_id"), "No event was rejected.")


@rejected.command("show")
@click.argument("position")
@shared_options
@pass_context
def show(context: Context, position: str) -> None:
    """Show one rejected event: what was sent, why it was refused, and whether a retry would bring it in."""
    from eventlog.rejected import Place, read_record, read_rejected

    place = Place.parse(position)
    with _opened(context) as (log, revived):
        record = read_record(log, place)
        kept = read_rejected(record)
        found: dict[str, Any] = {"position": str(place)}
        if kept is not None:
            found |= {name: getattr(kept, name) for name in kept.__struct_fields__ if name != "raw"}
        found["retry"] = _outlook(record, revived)
    raw = kept.body() if kept is not None else record.value
    found["raw"] = raw[:SHOWN_BYTES].decode("utf-8", "replace")
    context.result(found)


@rejected.command("retry")
@click.argument("positions", nargs=-1)
@click.option("--code", default=None, help="Every one rejected for this reason.")
@click.option("--all", "every", is_flag=True, help="Every one.")
@shared_options
@pass_context
def retry(context: Context, positions: tuple[str, ...], code: str | None, every: bool) -> None:
    """Append rejected events again that today's rules accept; the rest stay as they are, each with its reason."""
    from eventlog.rejected import Place

    if bool(positions) + (code is not None) + every != 1:
        raise ThumbwheelError("which", "Say which to retry.", "Give positions, or --code CODE, or --all.")
    wanted = positions or tuple(row["position"] for row in _rows(context, code))
    places = sorted({Place.parse(text) for text in wanted})
    with _opened(context) as (log, revived):
        results = list(_retry(log, revived, places))
    done = sum(result["retried"] for result in results)
    lines = [f"{done} of {len(results)} appended again."]
    lines += [f"{result['position']}: {result['why']}" for result in results if not result["retried"]]
    context.result({"retried": done, "results": results}, "\n".join(lines))


def _rows(context: Context, code: str | None) -> Iterator[dict[str, Any]]:
    """Yield the rows of the data API, page by page, each with its position."""
    from eventlog.rejected import Place

    api, cursor = data_api(context.settings, context.project), None
    while True:
        page = api.get("/api/v1/rejected", code=code, limit=500, cursor=cursor)
        for row in page["items"]:
            position = str(Place(row["topic"], row["partition"], row["offset"]))
            yield {"position": position, "received": (row["received_at"] or "")[:16], **row}
        if not (cursor := page.get("next")):
            return


@contextmanager
def _opened(context: Context) -> Iterator[tuple[Log, Callable[[Record], Event]]]:
    """Yield the log, and what makes an event of a rejected record under today's keys and rules."""
    from control_store.control import Control
    from eventlog.opening import open_log
    from eventlog.rejected import revive

    log = open_log(context.settings.log_url, context.settings.partitions or None)
    try:
        control = Control.of(context.settings)
        try:
            keys = {key.key_id: key for key in control.list_keys()}
            yield log, lambda record: revive(record, keys.get, control.signing_key)
        finally:
            control.close()
    finally:
        log.close()


def _outlook(record: Record, revived: Callable[[Record], Event]) -> str:
    try:
        revived(record)
    except ThumbwheelError as error:
        return error.line()
    return "possible: it is taken today"


def _retry(log: Log, revived: Callable[[Record], Event], places: list[Place]) -> Iterator[dict[str, Any]]:
    """Yield what became of each; an event that is still refused is a result, a log that is away is an error."""
    from eventlog.log import append_all
    from eventlog.rejected import Place, read_records

    for at in range(0, len(places), RETRIED_AT_ONCE):
        found = read_records(log, places[at : at + RETRIED_AT_ONCE])
        results = [_judged(revived, place, record) for place, record in found.items()]
        events = [result.pop("event") for result in results if "event" in result]
        positions = iter(append_all(log, events))
        for result in results:
            if result["retried"]:
                position = next(positions)
                result["appended_at"] = str(Place(position.topic, position.partition, position.offset))
            yield result


def _judged(revived: Callable[[Record], Event], place: Place, record: Record | None) -> dict[str, Any]:
    from eventlog.rejected import not_there

    try:
        if record is None:
            raise not_there(place)
        event = revived(record)
    except ThumbwheelError as error:
        if not isinstance(error, EventError) and error.code not in ("not_retryable", "not_there"):
            raise
        return {"position": str(place), "retried": False, "why": error.line()}
    return {"position": str(place), "retried": True, "event_id": event.event_id, "event": event}


COMMANDS = (rejected,)
