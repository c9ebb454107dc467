"""GET /v1/campaigns: the open campaigns of a key's project, for the SDKs, which decide whom to ask.

Read from the control store at most every few seconds; while it is away, what is known stays. Answers are cacheable: a
browser asks again after `FRESH_SECONDS`, and then usually gets 304.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

import msgspec
from flask import Blueprint, Response, request
from sqlalchemy.exc import SQLAlchemyError

from collector.access import check_origin, find_key, key_text
from collector.limits import Rates
from collector.requests import KEY_ID, PROJECT
from control_store.campaigns import Campaigns
from control_store.control import Control

log = logging.getLogger(__name__)

PATH = "/v1/campaigns"
FRESH_SECONDS = 60
CACHE_SECONDS = 5.0


@dataclass(frozen=True)
class Told:
    """What one project's SDKs are told."""

    body: bytes
    etag: str
    read_at: float


class OpenCampaigns:
    """The open campaigns by project, cached. Thread-safe."""

    def __init__(self, campaigns: Campaigns, cache_seconds: float = CACHE_SECONDS) -> None:
        self._campaigns = campaigns
        self._cache_seconds = cache_seconds
        self._told: dict[str, Told] = {}
        self._lock = threading.Lock()

    def told(self, project: str) -> Told:
        """Return the answer for a project; none open where the store has never been reached."""
        with self._lock:
            known = self._told.get(project)
            now = time.monotonic()
            if known is not None and now - known.read_at < self._cache_seconds:
                return known
            try:
                body = self._read(project)
            except SQLAlchemyError as error:
                log.warning("Campaigns cannot be read (%s); what is known stays.", type(error).__name__)
                body = known.body if known else _encode([])
            found = Told(body, blake2b(body, digest_size=12).hexdigest(), now)
            self._told[project] = found
            return found

    def _read(self, project: str) -> bytes:
        now = datetime.now(UTC)
        return _encode([one.public_view() for one in self._campaigns.listed(project) if one.state(now) == "open"])


def _encode(told: list[dict[str, object]]) -> bytes:
    return msgspec.json.encode({"campaigns": told, "fresh_for_s": FRESH_SECONDS})


def blueprint(control: Control, rates: Rates) -> Blueprint:
    """The route; a public key reads from its own origins only, as it writes."""
    routes = Blueprint("campaigns", __name__)
    campaigns = OpenCampaigns(Campaigns(control.engine))

    @routes.get(PATH)
    def get_campaigns() -> Response:
        key = find_key(control, key_text(request.headers.get("Authorization", ""), None))
        request.environ[KEY_ID], request.environ[PROJECT] = key.key_id, key.project
        check_origin(key, request.headers.get("Origin"))
        rates.take(key.key_id, 1)
        told = campaigns.told(key.project)
        response = Response(told.body, mimetype="application/json")
        response.headers["Cache-Control"] = f"private, max-age={FRESH_SECONDS}"
        response.headers["Vary"] = "Authorization"
        response.set_etag(told.etag)
        response.make_conditional(request)
        return response

    return routes
