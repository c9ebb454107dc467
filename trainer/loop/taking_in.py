"""What becomes of what a run made: aliases and a fetched run in; aliases with the adapter registered and placed out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.backends.run_folder import Fetched
from trainer.loop import registry
from trainer.loop.entries import REMOTE
from trainer.loop.jobs import Record
from trainer.loop.registry import Aliases, Registry


def details_of(record: Record) -> dict[str, Any]:
    """Return what every change that follows from a run says of it."""
    return {
        "run_id": record.run_id, "dataset_id": record.dataset_id, "parent": record.parent,
        "request_id": record.request_id,
    }  # fmt: skip


def register(reg: Registry, aliases: Aliases, adapter_id: str, made: Fetched, record: Record) -> Aliases:
    """Return the aliases with what the run made. Files are copied in first; a remote model has none.

    Raises ThumbwheelError when the same weights, or the same remote model, are registered already.
    """
    details = {**details_of(record), "metrics": made.result["metrics"]}
    if made.adapter is None:
        return registry.register(aliases, adapter_id, kind=REMOTE, remote_model=made.remote_model, **details)
    card = {
        **made.result, "run_id": record.run_id, "parent": record.parent, "adapter_id": adapter_id,
        "guards": made.guards["guards"],
    }  # fmt: skip
    reg.take_in(adapter_id, made.adapter, card)
    return registry.register(aliases, adapter_id, **details)


def place(aliases: Aliases, record: Record, result: Mapping[str, Any]) -> Aliases:
    """Return the aliases with the run's adapter held by its guards, left registered, or under test."""
    adapter_id, details = str(record.adapter_id), details_of(record)
    if not result["passed"]:
        reason = "Held by its guards. " + "; ".join(result["reasons"])
        failed = {"guards_failed": result["reasons"]}
        return registry.hold(aliases, adapter_id, **details, reason=reason, metrics=failed)
    if not record.challenge:
        return aliases
    if aliases.challenger:
        aliases = registry.hold(aliases, aliases.challenger, reason=f"{adapter_id} takes its place.")
    metrics = {"labels": list(record.trial_labels)} if record.trial_labels else {}
    return registry.challenge(aliases, adapter_id, **details, metrics=metrics)
