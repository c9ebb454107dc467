"""Wishes to promote and to roll back, as changes of the aliases. Pure: what cannot be met raises and moves nothing.

A person decides over the gate: any registered adapter may be promoted. A challenger whose baseline moves away under
it is held first, since its test no longer compares with the champion. A wish to roll back that names the
challenger withdraws it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from contract.errors import ThumbwheelError
from contract.events import stamp
from contract.facts import ModelFact, ModelHeld
from contract.ids import derived_id
from trainer.loop import registry
from trainer.loop.registry import Aliases


def meet(
    aliases: Aliases, kind: str, body: Mapping[str, Any], request_id: str, asked_at: datetime | None = None
) -> Aliases:
    """Return the aliases after a `request.promote` or `request.roll_back`. Raises ThumbwheelError.

    `asked_at`: a wish to withdraw a challenger that was promoted since is refused, not read as a rollback.
    """
    named, reason = body.get("adapter_id"), body.get("reason")
    if kind == "request.promote":
        ready = aliases
        if aliases.challenger not in (None, named):
            ready = _free(aliases, f"{named} was promoted by a person.")
        return registry.promote(ready, str(named), reason=reason or "Promoted by a person.", request_id=request_id)
    if named is not None and named == aliases.challenger:
        return registry.hold(aliases, named, reason=reason or "Withdrawn by a person.", request_id=request_id)
    if named is not None and named != aliases.champion:
        raise ThumbwheelError("not_champion", f"{named} is neither champion nor under test.", "Nothing to take back.")
    if named is not None and asked_at is not None and _promoted_at(aliases, named) > asked_at:
        raise ThumbwheelError(
            "decided", f"The test of {named} was decided before the wish arrived.", "Roll it back now."
        )
    ready = _free(aliases, "Its baseline was rolled back.") if aliases.challenger else aliases
    return registry.roll_back(ready, reason=reason or "Rolled back by a person.", request_id=request_id)


def moment(text: str | None) -> datetime | None:
    """Return a time of the data API, which leaves UTC unsaid."""
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _promoted_at(aliases: Aliases, adapter_id: str) -> datetime:
    steps = [c for c in aliases.history if c.adapter_id == adapter_id and c.change == "promoted"]
    return datetime.fromisoformat(steps[-1].at) if steps else datetime.min.replace(tzinfo=UTC)


def _free(aliases: Aliases, reason: str) -> Aliases:
    return registry.hold(aliases, str(aliases.challenger), reason=reason)


def refusal(project: str, aliases: Aliases, adapter_id: str, request_id: str, reason: str) -> ModelFact:
    """Return the fact that answers a wish which could not be met; no alias changed.

    It repeats the adapter's last change, so that readers who fold facts keep its state, and names the wish.
    """
    event_id = str(derived_id("refused", project, request_id))
    last = next((change for change in reversed(aliases.history) if change.adapter_id == adapter_id), None)
    if last is None:
        made: ModelFact = ModelHeld(
            event_id=event_id, occurred_at=datetime.now(UTC), actor=registry.ACTOR, adapter_id=adapter_id,
            alias_version=aliases.version, reason=reason, request_id=request_id,
        )  # fmt: skip
        return stamp(made, project=project, key_id=registry.KEY_ID, via="trainer")
    return registry.fact(project, replace(last, request_id=request_id, reason=reason), event_id)
