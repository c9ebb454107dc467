"""What every service process writes to stderr: one JSON object a line, never content, keys or addresses of clients.

    {"time": RFC 3339, "level": "info", "service": "collector", "logger": ..., "message": ..., fields of the record}

An exception is told by its type and the places it went through: its text may quote what a person wrote. Text is kept
of our own errors and of the system's, which name files and settings.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

from contract.errors import ThumbwheelError

_FRAMES = 12


class JsonLines(logging.Formatter):
    """Formats records of one service; `extra={"fields": {...}}` adds fields to a line."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname.lower(), "service": self._service, "logger": record.name,
            "message": record.getMessage(),
        }  # fmt: skip
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[1] is not None:
            line |= _told(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False, default=str)


def _told(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    told: dict[str, Any] = {"error": type(error).__name__, "at": [f"{f.filename}:{f.lineno} {f.name}" for f in frames]}
    if isinstance(error, ThumbwheelError | OSError):
        told["why"] = error.line() if isinstance(error, ThumbwheelError) else str(error)
    return told


def configure_logging(service: str, level: int = logging.INFO) -> None:
    """Let this process, and the workers it forks, log to stderr as `service`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    # It warns at its import that a faster kernel could be fetched from elsewhere.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def for_a_person(line: str) -> str:
    """Return what a line of a service's log says, without the form: for a terminal."""
    try:
        said = json.loads(line)
    except ValueError:
        return line
    return str(said["message"]) if isinstance(said, dict) and said.get("message") else line
