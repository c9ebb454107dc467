"""One turn of the wheel: picks, dataset, training, guards, blind test, decision; and the comparison at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cli.demo.collect import Collected, Desk
from cli.demo.prompts import Prompts
from cli.runs import follow_run, wait_for_run
from contract.errors import ThumbwheelError

MIN_DECISIVE = 48
MAX_ROWS = 288
TRAIN_SHARE = 0.6
COMPARE_PROMPTS = 96
TRAIN_LABEL = "demo/train"
TEST_LABEL = "evaluation/demo"
COMPARE_LABEL = "evaluation/comparison"
DECISION_SECONDS = 30.0
HELD_AT_END = "undecided at the end of the turn"


@dataclass
class TurnReport:
    """What one turn did, for the report."""

    number: int
    champion_before: str = "base"
    picks: dict[str, Any] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    test: dict[str, Any] = field(default_factory=dict)
    support: dict[str, Any] | None = None
    decision: str = ""
    reason: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the seconds of a block to a phase."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started


@dataclass(frozen=True)
class Wheel:
    """Turns the wheel through the HTTP interfaces; `track(text, total)` gives a function to advance a progress bar."""

    desk: Desk
    prompts: Prompts
    interactions: int
    seed: str
    track: Callable[[str, int], Callable[[int], None]]
    say: Callable[[str], None]

    @property
    def train_count(self) -> int:
        """Return how many of a turn's interactions are to train on: 96 of 160."""
        return round(self.interactions * TRAIN_SHARE)

    @property
    def min_decisive(self) -> int:
        """Return the fewest decisive picks that are worth a run: 48, or half of a smaller round."""
        return min(MIN_DECISIVE, self.train_count // 2)

    def turn(self, number: int) -> TurnReport:
        """Run one turn; a turn without enough signal, a failed run or a held adapter ends it early, with the reason."""
        report = TurnReport(number, champion_before=self._champion())
        with report.phase("picks"):
            picks = self._picks(number, "train", self.train_count, TRAIN_LABEL, "Picks to train on")
        report.picks = _counts(picks)
        if picks.decisive < self.min_decisive:
            report.decision = "not enough signal"
            report.reason = f"{picks.decisive} decisive picks, {self.min_decisive} are needed"
            return report
        with report.phase("dataset"):
            request_id = self._ask_for_run()
            run_id = self._started(request_id)
        with report.phase("training"):
            report.run = self._follow(request_id, run_id)
            report.dataset = self._dataset(report.run.get("dataset_id"))
        adapter = report.run.get("adapter_id")
        if not adapter:
            report.decision, report.reason = "run failed", str(report.run.get("reason"))
            return report
        state, reason = self._await_state(adapter, {"challenger", "held"})
        if state != "challenger":
            report.decision, report.reason = "held", reason
            return report
        with report.phase("blind test"):
            count = self.interactions - self.train_count
            report.test = _counts(self._picks(number, "evaluation", count, TEST_LABEL, "Blind picks, 2 + 2"))
        with report.phase("decision"):
            self._decide(report, adapter)
        return report

    def compare(self) -> dict[str, Any] | None:
        """Compare the champion with the base on 96 evaluation prompts; None while the champion is the base."""
        champion = self._champion()
        if champion == "base":
            return None
        prompts = self.prompts.sample("evaluation", COMPARE_PROMPTS, f"{self.seed}/compare/{time.time_ns()}")
        advance = self.track("Champion against base", len(prompts))
        sides = {"challenger": champion, "baseline": "base"}
        collected = self.desk.collect(prompts, COMPARE_LABEL, f"{self.seed}/compare", advance, sides)
        found = self.desk.data.get("/api/v1/support")["comparisons"]
        item = next((c for c in found if c["challenger"] == champion and c["baseline"] == "base"), None)
        return None if item is None else dict(item) | {"seconds": collected.seconds, "picks": _counts(collected)}

    def _picks(self, number: int, part: str, count: int, label: str, text: str) -> Collected:
        prompts = self.prompts.sample(part, count, f"{self.seed}/{part}/{number}")
        advance = self.track(f"Turn {number}: {text}", len(prompts))
        return self.desk.collect(prompts, label, f"{self.seed}/{part}/{number}", advance)

    def _champion(self) -> str:
        return self.desk.data.get("/api/v1/models").get("champion") or "base"

    def _ask_for_run(self) -> str:
        """Wish for a run on what is new since the champion; the trainer builds the dataset through the data API."""
        params = {"filters": {"kinds": ["preference"], "max_rows": MAX_ROWS}}
        wish = {"type": "train", "method": "dpo", "params": params}
        return str(self.desk.data.post("/api/v1/requests", wish)["request_id"])

    def _started(self, request_id: str) -> str:
        """Return the id of the run that answers the wish."""
        return str(wait_for_run(self.desk.data, request_id)["run_id"])

    def _follow(self, request_id: str, run_id: str) -> dict[str, Any]:
        advance = self.track("Training", 100)
        shown = 0

        def progress(step: int, total: int, metrics: dict[str, Any]) -> None:
            nonlocal shown
            done = round(100 * step / total) if total else 0
            advance(done - shown)
            shown = done

        run = follow_run(self.desk.data, request_id, progress)
        advance(100 - shown)
        return run | {"series": self.desk.data.get(f"/api/v1/runs/{run_id}").get("series", [])}

    def _dataset(self, dataset_id: str | None) -> dict[str, Any]:
        if not dataset_id:
            return {}
        manifest = self.desk.data.get(f"/api/v1/datasets/{dataset_id}")
        return {name: manifest.get(name) for name in ("dataset_id", "counts", "dropped")}

    def _adapter(self, adapter_id: str) -> dict[str, Any]:
        items = self.desk.data.items("/api/v1/models")
        return next((item for item in items if item["adapter_id"] == adapter_id), {})

    def _await_state(self, adapter_id: str, wanted: set[str], seconds: float = DECISION_SECONDS) -> tuple[str, str]:
        """Return the adapter's state and its reason, once it is one of `wanted` or the time is up."""
        deadline = time.monotonic() + seconds
        while True:
            item = self._adapter(adapter_id)
            state = str(item.get("state", "unknown"))
            if state in wanted or time.monotonic() > deadline:
                history = item.get("history") or [{}]
                return state, str(history[-1].get("reason") or "")
            time.sleep(0.5)

    def _decide(self, report: TurnReport, adapter: str) -> None:
        """Let the trainer's gate decide; what is undecided at the end of the turn is held."""
        report.support = self._support(adapter)
        if report.support and report.support["state"] in ("promote", "reject"):
            state, reason = self._await_state(adapter, {"promoted", "champion", "rejected", "held"})
        else:
            self.desk.data.post("/api/v1/requests", {"type": "roll_back", "adapter_id": adapter, "reason": HELD_AT_END})
            state, reason = self._await_state(adapter, {"held", "promoted", "champion", "rejected"})
        if state == "challenger":
            raise ThumbwheelError("undecided", f"The trainer did not settle {adapter}.", "See the trainer's log.")
        report.decision, report.reason = ("promoted" if state == "champion" else state), reason
        report.support = self._support(adapter) or report.support

    def _support(self, adapter: str) -> dict[str, Any] | None:
        items = self.desk.data.get("/api/v1/support")["items"]
        return next((dict(item) for item in items if item["challenger"] == adapter), None)


def _counts(collected: Collected) -> dict[str, Any]:
    return {
        **collected.outcomes, "edits": collected.edits, "thumbs": collected.thumbs, "retracted": collected.retracted,
        "seconds": collected.seconds,
    }  # fmt: skip
