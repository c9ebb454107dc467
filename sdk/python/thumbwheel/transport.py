"""One request to the collector: what was accepted, what to send again, what is lost, and how long to wait."""

from __future__ import annotations

import email.utils
import http.client
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

RETRY_STATUSES = frozenset({408, 429})
MAX_RETRY_AFTER_S = 300.0


@dataclass
class Outcome:
    """What became of a batch. `retry` events go again after `wait_s`; `lost` maps event ids to (reason, message)."""

    accepted: list[str] = field(default_factory=list)
    retry: list[str] = field(default_factory=list)
    lost: dict[str, tuple[str, str]] = field(default_factory=dict)
    wait_s: float | None = None
    too_large: bool = False


class Transport:
    """Posts batches to `url` + `path`."""

    def __init__(self, url: str, path: str, key: str, timeout_s: float) -> None:
        self._parts = urlsplit(url.rstrip("/"))
        if self._parts.scheme not in ("http", "https") or not self._parts.hostname:
            raise ValueError(f"thumbwheel: url {url!r} is not an http(s) address")
        self._target = self._parts.path + path
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        self._timeout_s = timeout_s

    def send(self, events: list[dict[str, Any]], sent_at: str) -> Outcome:
        """Send a batch; never raises for what a network or server does."""
        ids = [event["event_id"] for event in events]
        body = json.dumps({"events": events, "sent_at": sent_at}, separators=(",", ":")).encode()
        try:
            status, headers, raw = self._post(body)
        except (OSError, http.client.HTTPException):
            return Outcome(retry=ids)
        if status in (200, 202, 207):
            return _per_event(ids, raw, _retry_after(headers))
        if status in RETRY_STATUSES or status >= 500:
            return Outcome(retry=ids, wait_s=_retry_after(headers))
        if status == 413:
            return Outcome(retry=ids, too_large=True)
        reason, message = _error(raw)
        return Outcome(lost={event_id: (reason or f"http_{status}", message) for event_id in ids})

    def _post(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=self._timeout_s)
        try:
            connection.request("POST", self._target, body, self._headers)
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()


def _per_event(ids: list[str], raw: bytes, wait_s: float | None) -> Outcome:
    """Sort a batch's answer by event; an answer that cannot be read means: send again."""
    try:
        results = {item["event_id"]: item for item in json.loads(raw)["results"]}
    except (ValueError, KeyError, TypeError):
        return Outcome(retry=ids, wait_s=wait_s)
    outcome = Outcome(wait_s=wait_s)
    for event_id in ids:
        item = results.get(event_id, {"status": "retry"})
        if item["status"] == "accepted":
            outcome.accepted.append(event_id)
        elif item["status"] == "rejected":
            error = item.get("error") or {}
            outcome.lost[event_id] = (str(error.get("code", "rejected")), str(error.get("message", "")))
        else:
            outcome.retry.append(event_id)
    return outcome


def _error(raw: bytes) -> tuple[str, str]:
    try:
        error = json.loads(raw)["error"]
        return str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        return "", ""


def _retry_after(headers: dict[str, str]) -> float | None:
    """Return Retry-After in seconds, both forms (RFC 9110, section 10.2.3), capped."""
    text = headers.get("retry-after")
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)
