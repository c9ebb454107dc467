"""Collecting picks as a support desk would: replies from the gateway, ratings through the Python SDK."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import thumbwheel

from cli.demo.raters import Person, checked
from contract.errors import ThumbwheelError
from runtime.data_api import Api

IN_FLIGHT = 8
REPLIES = 4
THUMB_SHARE = 0.15
RETRACT_SHARE = 0.04
VISIBLE_SECONDS = 120.0
BUSY_TRIES = 60


@dataclass
class Collected:
    """What a round of picks brought: counts by outcome, and the event ids to wait for."""

    outcomes: dict[str, int] = field(default_factory=lambda: {"chosen": 0, "tie": 0, "none": 0})
    edits: int = 0
    thumbs: int = 0
    retracted: int = 0
    event_ids: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def decisive(self) -> int:
        """Return how many picks chose a reply."""
        return self.outcomes["chosen"]


@dataclass(frozen=True)
class Desk:
    """Who rates, in turns, and through what."""

    gateway: Api
    data: Api
    client: thumbwheel.Client
    people: Sequence[Person]
    max_tokens: int

    def collect(
        self, prompts: Sequence[str], label: str, seed: str, progress: Callable[[int], None],
        compare: dict[str, str] | None = None,
    ) -> Collected:  # fmt: skip
        """Rate 4 replies to each prompt, 8 requests in flight, and wait until the processor has stored it."""
        collected = Collected()
        started = time.monotonic()
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            raters = [self.people[index % len(self.people)] for index in range(len(prompts))]
            shown = pool.map(lambda prompt, rater: self._candidates(prompt, label, rater, compare), prompts, raters)
            for index, (prompt, answer) in enumerate(zip(prompts, shown, strict=True)):
                self._rate(prompt, answer, label, raters[index], random.Random(f"{seed}/{index}"), collected)
                progress(1)
        self._wait_until_stored(collected)
        collected.seconds = time.monotonic() - started
        return collected

    def _candidates(self, prompt: str, label: str, rater: Person, compare: dict[str, str] | None) -> dict[str, Any]:
        about: dict[str, Any] = {
            "labels": [label], "surface": "workbench", "source": "demo", "actor": rater.actor,
        }  # fmt: skip
        if compare:
            about["compare"] = compare
        body = {
            "messages": [{"role": "user", "content": prompt}], "k": REPLIES, "max_tokens": self.max_tokens,
            "thumbwheel": about,
        }  # fmt: skip
        for attempt in range(BUSY_TRIES):
            try:
                answer: dict[str, Any] = self.gateway.post("/v1/candidates", body)
                return answer
            except ThumbwheelError as error:
                # The gateway restarts, or is busy: the supervisor and its Retry-After ask for patience.
                if error.status != 503 or attempt == BUSY_TRIES - 1:
                    raise
                time.sleep(1.0)
        raise AssertionError("unreachable")

    def _rate(
        self, prompt: str, answer: dict[str, Any], label: str, rater: Person, rng: random.Random, collected: Collected
    ) -> None:
        shown = answer["candidates"]
        messages = [{"role": "user", "content": prompt}]
        rating = checked(rater.rate(messages, [one["content"] for one in shown], rng), len(shown))
        if rng.random() < RETRACT_SHARE:
            slip = checked({"outcome": "chosen", "chosen": 0}, len(shown))
            self._pick(answer, slip, label, rater, collected, retract=True)
        self._pick(answer, rating, label, rater, collected)
        collected.outcomes[rating["outcome"]] += 1
        collected.edits += bool(rating.get("edited_text"))
        if rating["outcome"] == "chosen" and rng.random() < THUMB_SHARE:
            chosen = shown[rating["chosen"]]["candidate_id"]
            self._keep(collected, self.client.thumb(
                interaction_id=answer["interaction_id"], candidate_id=chosen, value="up", labels=[label],
                actor=rater.actor,
            ))  # fmt: skip
            collected.thumbs += 1

    def _pick(
        self, answer: dict[str, Any], rating: dict[str, Any], label: str, rater: Person, collected: Collected,
        retract: bool = False,
    ) -> None:  # fmt: skip
        shown = [one["candidate_id"] for one in answer["candidates"]]
        chosen = None if rating["chosen"] is None else shown[rating["chosen"]]
        event_id = self._keep(collected, self.client.pick(
            interaction_id=answer["interaction_id"], shown=shown, outcome=rating["outcome"], chosen=chosen,
            edited_text=rating.get("edited_text"), sent=rating["outcome"] == "chosen", labels=[label],
            actor=rater.actor,
        ))  # fmt: skip
        if retract:
            # A slip of the hand, taken back: it must count for nothing.
            self._keep(collected, self.client.retract(
                interaction_id=answer["interaction_id"], target=event_id, actor=rater.actor
            ))  # fmt: skip
            collected.retracted += 1

    def _keep(self, collected: Collected, event_id: thumbwheel.Sent) -> str:
        if not isinstance(event_id, str):
            raise ThumbwheelError(
                "not_sent", f"The SDK kept no event: {dict(self.client.dropped)}.", "Is the collector running?"
            )
        collected.event_ids.append(event_id)
        return event_id

    def _wait_until_stored(self, collected: Collected) -> None:
        """Wait until every event is in the database; raises ThumbwheelError that says how many are not."""
        if not self.client.flush(VISIBLE_SECONDS):
            raise ThumbwheelError("not_sent", "The collector did not take all events.", "See the collector's log.")
        missing = list(collected.event_ids)
        deadline = time.monotonic() + VISIBLE_SECONDS
        while missing:
            batch = missing[:200]
            try:
                left = self.data.get("/api/v1/visible", event_id=batch)["missing"]
            except ThumbwheelError as error:
                if error.status != 503:
                    raise
                left = batch
            missing = list(left) + missing[200:]
            if missing and time.monotonic() > deadline:
                raise ThumbwheelError(
                    "not_stored", f"{len(missing)} events were accepted but not stored.", "See the processor's log."
                )
            if left:
                time.sleep(0.2)
