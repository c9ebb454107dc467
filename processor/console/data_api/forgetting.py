"""The data API's way to forget a person: what it would remove, the `forget` fact, and how far it has come."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from flask import Blueprint, Response, g

from contract.envelope import Actor
from contract.errors import ThumbwheelError
from contract.events import stamp
from contract.facts import Forget
from contract.forgetting import NO_PERSONS, actor_digest
from contract.ids import is_wire_id, uuid7
from eventlog.log import Erasable, append_all
from processor.console.access import Caller
from processor.console.data_api.answers import answer, json_body, read
from processor.console.permissions import needs
from processor.console.services import datasets, drafts, leases, project, reading, services
from processor.queries.datasets import Datasets
from processor.queries.forgetting import holding, look_up, progress

blueprint = Blueprint("api_forgetting", __name__, url_prefix="/api/v1/forget")
# Clocks of machines differ a little; what lies further ahead is a mistake.
AHEAD = timedelta(minutes=1)


@blueprint.post("/preview")
@needs("person.forget")
def post_preview() -> Response:
    """Answer what forgetting {"actor", "before"?} would remove, and which datasets and adapters hold the person."""
    return answer(_preview(*_asked(json_body())))


@blueprint.post("")
@needs("person.forget")
def post_forget() -> Response:
    """Append the `forget` fact for {"actor", "before"?}; with "datasets": true delete those that hold the person."""
    body = json_body()
    actor, before = _asked(body)
    delete = body.get("datasets", False)
    if not isinstance(delete, bool):
        raise ThumbwheelError("invalid_json", "datasets is neither true nor false.", "Leave it out.", "datasets")
    found = _preview(actor, before)
    fact = Forget(
        event_id=str(uuid7()), occurred_at=datetime.now(UTC), actor=_by(g.user), actor_digest=found["actor_digest"],
        before=before,
    )  # fmt: skip
    append_all(services().log, [stamp(fact, project=project(), key_id=g.user.key_id, via="console")])
    drafts().forget(project(), actor)
    leases().forget(project(), actor)
    found["event_id"] = fact.event_id
    found["deleted"] = [delete_dataset(datasets(), row["dataset_id"]) for row in found["datasets"] if delete]
    return answer(found, 202)


@blueprint.get("/<event_id>")
@needs("person.forget")
def get_progress(event_id: str) -> Response:
    """Answer how far it has come; 404 until the processor has read the fact."""
    erasable, archive = isinstance(services().log, Erasable), bool(services().settings.archive)
    return read(lambda cursor: progress(cursor, project(), event_id, erasable) | {"archive": archive})


def _asked(body: dict[str, Any]) -> tuple[str, datetime]:
    actor, given = body.get("actor"), body.get("before")
    if not isinstance(actor, str) or not is_wire_id(actor):
        raise ThumbwheelError(
            "invalid_actor", "actor is no actor id.", "Send one whole id: 1 to 128 visible ASCII characters.", "actor"
        )
    if actor in NO_PERSONS:
        raise ThumbwheelError(
            "not_a_person", f"{actor!r} is a part of Thumbwheel, nobody's id.", "Name the actor of the events.", "actor"
        )
    now = datetime.now(UTC)
    return actor, now if given is None else _moment(given, now)


def _moment(given: Any, now: datetime) -> datetime:
    try:
        before = datetime.fromisoformat(given)
    except (TypeError, ValueError):
        before = None
    if before is None or before.tzinfo is None:
        raise ThumbwheelError(
            "invalid_time", "before is no time with a zone.", "Write it as 2026-01-31T12:00:00Z.", "before"
        )
    if before > now + AHEAD:
        raise ThumbwheelError("time_ahead", "before lies in the future.", "Forget again when more has come.", "before")
    return before.astimezone(UTC)


def _preview(actor: str, before: datetime) -> dict[str, Any]:
    with reading() as cursor:
        counts = look_up(cursor, project(), actor, before)
        found = holding(cursor, project(), datasets(), actor, before)
        digest = actor_digest(project(), actor)
        known = cursor.execute(
            "SELECT count(*) FROM forgets WHERE project = ? AND actor_digest = ?", [project(), digest]
        ).fetchone()
    if not any(counts.values()) and not found["datasets"] and not (known and known[0]):
        raise ThumbwheelError(
            "unknown_actor", f"Project {project()!r} holds nothing of this actor from before {before.isoformat()}.",
            "Check the id, --before and --project.", "actor", 404,
        )  # fmt: skip
    return {"actor_digest": digest, "before": before, "counts": counts, **found}


def _by(caller: Caller) -> Actor:
    return msgspec.convert(caller.actor, Actor)


def delete_dataset(held: Datasets, dataset_id: str) -> str:
    """Delete a dataset's folder; a reader sees all of it or nothing."""
    folder = held.folder(dataset_id)
    hidden = folder.with_name(f".deleted-{folder.name}")
    shutil.rmtree(hidden, ignore_errors=True)
    os.rename(folder, hidden)
    shutil.rmtree(hidden)
    return dataset_id
