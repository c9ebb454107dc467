"""A reviewer's undo of somebody's vote: appended to the log as a `retract`, never a delete.

Who may do it could look at the counts of a test, so picks of blind tests stand as they were (`trials.votes`, frozen).
"""

from __future__ import annotations

from datetime import UTC, datetime

from contract.errors import ThumbwheelError
from contract.events import decode_event, stamp
from contract.ids import uuid7
from eventlog.log import append_all
from processor.console.access import Caller
from processor.console.services import reading, services
from processor.queries.interactions import find_vote
from processor.queries.reading import NotFound

# States of a vote that taking it back changes: one that was replaced or taken back says nothing any more.
OPEN_STATES = frozenset({"vote", "untrusted", "unmatched"})


def take_back(caller: Caller, project: str, interaction_id: str, target: str, reason: str = "") -> str:
    """Append the `retract` of the vote whose event id is `target`; return the retract's event id.

    Raises ThumbwheelError: 404 for a vote that the interaction does not have, 409 for one that says nothing any more,
    400 for a reason that is too long, 503 when the log is away.
    """
    with reading() as cursor:
        vote = find_vote(cursor, project, interaction_id, target)
    if vote is None:
        raise NotFound(
            "unknown_vote", f"Interaction {interaction_id!r} has no vote {target!r}.", "See its feedback history."
        )
    if not may_be_taken_back(vote["type"], vote["state"]):
        raise ThumbwheelError(
            "not_in_force", f"The vote {target!r} does not count any more.", "Nothing needs to be taken back.",
            status=409,
        )  # fmt: skip
    event = decode_event({
        "type": "retract", "event_id": str(uuid7()), "occurred_at": datetime.now(UTC).isoformat(),
        "actor": caller.actor, "interaction_id": interaction_id, "target": vote["event_id"],
        **({"context": {"reason": reason}} if reason else {}),
    })  # fmt: skip
    append_all(services().log, [stamp(event, project=project, key_id=caller.key_id, via="console")])
    return event.event_id


def may_be_taken_back(kind: str, state: str) -> bool:
    """Say whether taking back a vote of this type in this state changes anything."""
    return kind != "retract" and state in OPEN_STATES
