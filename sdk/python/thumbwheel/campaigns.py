"""Which campaign asks about an interaction: the open ones, fetched now and then, and the rule both SDKs share.

The rule (`decide`) is the same for an actor and an interaction wherever and whenever it is evaluated, so that a backend
that prepares two replies and the page that shows them agree, and a reload changes nothing.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import NotRequired, TypedDict

    from thumbwheel.delivery.transport import Transport

    class Campaign(TypedDict):
        """An open campaign. `question` is what to ask, where it says; `campaign_id` goes with the feedback."""

        campaign_id: str
        surface: str
        rate: float
        cooldown_s: NotRequired[int]
        label: NotRequired[str]
        scenario: NotRequired[str]
        question: NotRequired[str]


# Used where the collector does not say how long its answer holds, and after an attempt that failed.
FRESH_S = 60.0
FAILED_S = 10.0
MAX_REMEMBERED = 10_000
_HASHES = 2**32


def share(campaign_id: str, actor_id: str, interaction_id: str) -> float:
    """Return where this interaction lies in [0, 1): FNV-1a of 32 bits, mixed by MurmurHash3's finaliser."""
    value = 0x811C9DC5
    for byte in f"{campaign_id}\n{actor_id}\n{interaction_id}".encode():
        value = (value ^ byte) * 0x01000193 % _HASHES
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        value = (value ^ value >> shift) * factor % _HASHES
    return value / _HASHES


def matches(campaign: Mapping[str, Any], surface: str, labels: Sequence[str], scenario: str | None) -> bool:
    """Say whether a campaign is about such interactions. A label also stands for those beneath it."""
    label = campaign.get("label")
    return (
        campaign.get("surface") == surface
        and (label is None or any(one == label or one.startswith(f"{label}/") for one in labels))
        and campaign.get("scenario") in (None, scenario)
    )


class Asked:
    """When each actor was last asked by a campaign, in this process: the most recent `MAX_REMEMBERED`."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()
        self._lock = threading.Lock()

    def may(self, campaign: Mapping[str, Any], actor_id: str, interaction_id: str, now: float) -> bool:
        """Say whether the actor may be asked, and remember it. What was asked once may be asked again."""
        key = (str(campaign["campaign_id"]), actor_id)
        with self._lock:
            last = self._last.get(key)
            if last is not None and last[0] == interaction_id:
                return True
            if last is not None and now - last[1] < float(campaign.get("cooldown_s") or 0):
                return False
            self._last[key] = (interaction_id, now)
            self._last.move_to_end(key)
            while len(self._last) > MAX_REMEMBERED:
                self._last.popitem(last=False)
        return True


def decide(
    campaigns: Sequence[Campaign], asked: Asked, now: float, *, actor_id: str, interaction_id: str, surface: str,
    labels: Sequence[str] = (), scenario: str | None = None,
) -> Campaign | None:  # fmt: skip
    """Return the first campaign, in their order, that asks this actor about this interaction; `now` in seconds."""
    for campaign in campaigns:
        if (
            matches(campaign, surface, labels, scenario)
            and share(campaign["campaign_id"], actor_id, interaction_id) < campaign["rate"]
            and asked.may(campaign, actor_id, interaction_id, now)
        ):
            return campaign
    return None


class Campaigns:
    """The open campaigns of the key's project, fetched when they are first asked for and then kept fresh."""

    def __init__(self, transport: Transport) -> None:
        """`transport` speaks to the campaigns address."""
        self._transport = transport
        self._known: list[Campaign] = []
        self._fresh_until = float("-inf")
        self._ever = False
        self._fetching = threading.Lock()
        self.asked = Asked()

    def open(self, timeout: float) -> list[Campaign]:
        """Return what is known. Only the first call waits, `timeout` seconds at most; a stale list is fetched aside."""
        if time.monotonic() >= self._fresh_until:
            if not self._ever:
                with self._fetching:
                    if not self._ever:
                        self._fetch(timeout)
            elif self._fetching.acquire(blocking=False):
                threading.Thread(target=self._fetch_aside, name="thumbwheel-campaigns", daemon=True).start()
        return self._known

    def _fetch_aside(self) -> None:
        try:
            self._fetch(None)
        finally:
            self._fetching.release()

    def _fetch(self, timeout: float | None) -> None:
        answer = self._transport.get(timeout)
        self._transport.close()
        found = answer.body.get("campaigns")
        self._ever = True
        if answer.status != 200 or not isinstance(found, list):
            self._fresh_until = time.monotonic() + max(FAILED_S, answer.retry_after)
            return
        self._known = [one for one in found if _usable(one)]
        fresh = answer.body.get("fresh_for_s")
        self._fresh_until = time.monotonic() + (float(fresh) if isinstance(fresh, (int, float)) else FRESH_S)


def _usable(campaign: Any) -> bool:
    """Say whether this release can decide on a campaign."""
    return (
        isinstance(campaign, dict)
        and isinstance(campaign.get("campaign_id"), str)
        and isinstance(campaign.get("rate"), (int, float))
        and isinstance(campaign.get("cooldown_s") or 0, (int, float))
    )
