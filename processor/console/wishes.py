"""Wishes: what people ask of the trainer, appended to the log. The trainer polls them, acts, and answers with facts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from contract.errors import ThumbwheelError
from contract.events import decode_event, stamp
from contract.ids import uuid7
from contract.run_settings import check_params
from eventlog.log import append_all
from processor.console.access import Caller
from processor.console.services import reading, services
from processor.queries.facts import list_adapters

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
    event = decode_event({
        **{name: value for name, value in wish.items() if value is not None},
        "type": TYPES[kind], "event_id": str(uuid7()), "occurred_at": datetime.now(UTC).isoformat(),
        "actor": caller.actor,
    })  # fmt: skip
    if adapter_id := getattr(event, "adapter_id", None):
        _check_adapter(project, adapter_id)
    append_all(services().log, [stamp(event, project=project, key_id=caller.key_id, via="console")])
    return event.event_id


def _check_adapter(project: str, adapter_id: str) -> None:
    with reading() as cursor:
        known = {adapter["adapter_id"] for adapter in list_adapters(cursor, project)["items"]}
    if adapter_id not in known:
        raise ThumbwheelError(
            "unknown_adapter", f"No adapter {adapter_id!r} in project {project!r}.", "See the list of adapters.",
            "adapter_id", 404,
        )  # fmt: skip
