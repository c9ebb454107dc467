"""What people at the console append to the log: wishes, and a reviewer's undo of a vote.

The trainer polls the wishes, acts, and answers with facts. An undo is a `retract`, never a delete; who may do it could
look at the counts of a blind test, so picks of blind tests stand as they were (`trials.votes`, frozen).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contract.errors import ThumbwheelError
from contract.run_settings import check_params
from eventlog.log import append_all
from processor.console.access import Caller
from processor.console.services import reading, services
from processor.queries.facts import list_adapters
from processor.queries.interactions import find_vote
from processor.queries.reading import NotFound

# States of a vote that taking it back changes: one that was replaced or taken back says nothing any more.
OPEN_STATES = frozenset({"vote", "untrusted", "unmatched"})
# What a wish may not say of itself.
_OURS = ("event_id", "occurred_at", "actor")
TYPES = {"train": "request.train", "promote": "request.promote", "roll_back": "request.roll_back"}


def append_wish(caller: Caller, project: str, wish: Mapping[str, Any]) -> str:
    """Append `request.<type>` and return its event id, the request id.

    Raises ThumbwheelError: 400 for a wrong wish, 404 for an unknown adapter, 503 when the log is away.
    """
    kind = wish.get("type")
    if kind not in TYPES:
        raise ThumbwheelError("unknown_wish", f"Unknown wish {kind!r}.", f"Use one of: {', '.join(TYPES)}.", "type")
    if kind == "train" and wish.get("params") is not None:
        check_params(wish["params"])
    said = {name: value for name, value in wish.items() if value is not None and name not in _OURS}
    event: Any = caller.event(project, said | {"type": TYPES[kind]})
    if adapter_id := getattr(event, "adapter_id", None):
        _check_adapter(project, adapter_id)
    append_all(services().log, [event])
    return str(event.event_id)


def _check_adapter(project: str, adapter_id: str) -> None:
    with reading() as cursor:
        known = {adapter["adapter_id"] for adapter in list_adapters(cursor, project)["items"]}
    if adapter_id not in known:
        raise ThumbwheelError(
            "unknown_adapter", f"No adapter {adapter_id!r} in project {project!r}.", "See the list of adapters.",
            "adapter_id", 404,
        )  # fmt: skip


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
    event = caller.event(project, {
        "type": "retract", "interaction_id": interaction_id, "target": vote["event_id"],
        **({"context": {"reason": reason}} if reason else {}),
    })  # fmt: skip
    append_all(services().log, [event])
    return event.event_id


def may_be_taken_back(kind: str, state: str) -> bool:
    """Say whether taking back a vote of this type in this state changes anything."""
    return kind != "retract" and state in OPEN_STATES
