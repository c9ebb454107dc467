"""What became of an event, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Problem:
    """Why an event will not arrive, or was refused. `code` is stable; `hint` says what to do."""

    code: str
    message: str
    hint: str = ""
    field: str | None = None


@dataclass(frozen=True)
class Result:
    """The outcome of one call with `sync=True`.

    `status` is accepted (durable at the collector), rejected (the collector refused the event), retry (not known to be
    stored: call again with the same `event_id`) or dropped (never sent). `error` says why it is not accepted.
    """

    event_id: str | None
    status: str
    error: Problem | None = None

    @property
    def ok(self) -> bool:
        """Say whether the event is durable at the collector."""
        return self.status == "accepted"


@dataclass(frozen=True)
class Stats:
    """Counts since the client was made: events, except `retries`, which counts requests."""

    accepted: int = 0
    retries: int = 0
    waiting: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


def problem_from(body: Any, code: str, message: str) -> Problem:
    """Return the problem an answer names, or one of the given code when it names none."""
    if not isinstance(body, dict) or not isinstance(body.get("code"), str):
        return Problem(code, message)
    named = body.get("field")
    return Problem(
        body["code"], str(body.get("message", message)), str(body.get("hint", "")),
        named if isinstance(named, str) else None,
    )  # fmt: skip
