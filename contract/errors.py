"""The one exception tree, and the one error shape every interface answers with."""

from __future__ import annotations

from typing import Any


class ThumbwheelError(Exception):
    """An error a person can act on.

    `code` is stable and machine readable, `message` says what happened, `hint` what to do, `field` which
    part of the input is meant, `status` the HTTP status an interface answers with.
    """

    status = 400

    def __init__(
        self, code: str, message: str, hint: str = "", field: str | None = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.field = field
        if status is not None:
            self.status = status

    def as_dict(self) -> dict[str, Any]:
        """Return `{"error": {"code", "message", "hint", "field"?}}` (contract: one error shape everywhere)."""
        body: dict[str, Any] = {"code": self.code, "message": self.message, "hint": self.hint}
        if self.field is not None:
            body["field"] = self.field
        return {"error": body}

    def line(self) -> str:
        """Return the error as one line for a terminal."""
        return f"{self.message}  hint: {self.hint}" if self.hint else self.message


class EventError(ThumbwheelError):
    """An event that is not one: wrong shape, wrong type, or something the store cannot hold."""


class SettingsError(ThumbwheelError):
    """A setting that is unknown or malformed."""


class LogUnavailable(ThumbwheelError):
    """The log cannot be reached or written; the caller may try again."""

    status = 503

    def __init__(self, message: str, hint: str = "Try again in a moment.") -> None:
        super().__init__("log_unavailable", message, hint)
