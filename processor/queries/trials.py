"""Blind tests: which picks count for which challenger, and what they say (the rules are in trials/)."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import duckdb

from processor.queries.datasets import Datasets
from processor.queries.facts import ancestors, list_adapters, model_story
from processor.queries.reading import EPOCH, Row, micros, parse_json, rows
from processor.steps.normalise import normalise
from runtime.settings import Settings
from trials import intervals
from trials import votes as voting
from trials.rule import Decision, Rule, State, Tally, band
from trials.trial import replay
from trials.votes import Ballot

_VOTES = """
SELECT f.interaction_key, f.interaction_id, f.event_id, f.type, f.actor_id, f.outcome, f.chosen, f.shown, f.state,
    f.target, f.verified, epoch_us(f.received_at) AS arrived, epoch_us(f.occurred_at) AS occurred, i.trial,
    i.prompt_hash, i.conversation_id
FROM feedback f JOIN interactions i USING (interaction_key)
WHERE f.project = $project AND i.trial IS NOT NULL AND f.type IN ('pick', 'choice', 'retract')
    AND f.state IN ('vote', 'superseded', 'retracted', 'applied') AND f.actor_kind <> 'ai'
ORDER BY f.received_at, f.event_id
"""
_REPLIES = """
SELECT c.interaction_key, c.candidate_id, c.model, c.content
FROM candidates c JOIN interactions i USING (interaction_key) WHERE i.project = $project AND i.trial IS NOT NULL
"""
_NEAR = """
SELECT d.interaction_key, c.prompt_hash FROM duplicates d JOIN interactions c ON c.interaction_key = d.canonical_key
WHERE d.project = $project
UNION SELECT d.canonical_key, c.prompt_hash FROM duplicates d
JOIN interactions c ON c.interaction_key = d.interaction_key WHERE d.project = $project
"""
# Facts about a challenger after which its test is over.
_DECISIONS: dict[str, State] = {"promoted": "promote", "rejected": "reject"}
_ENDS = frozenset({"held", "rejected", "promoted", "rolled_back", "challenger"})


@dataclass
class Shown:
    """One interaction of a blind test: who wrote what, and which prompt groups it belongs to."""

    interaction_id: str
    trial: Row
    groups: frozenset[str]
    models: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def sampling(self) -> str:
        """Return the sampling settings as one text; a seed draws other replies from the same settings."""
        settings = {name: value for name, value in self.trial.get("sampling", {}).items() if name != "seed"}
        return json.dumps(settings, sort_keys=True)


@dataclass(frozen=True)
class Test:
    """One registration of a challenger: from its fact until the fact that ends it (microseconds)."""

    challenger: str
    baseline: str
    k: int
    start: int
    end: int | None
    ended_by: str | None
    decided: State | None = None


def list_support(
    cursor: duckdb.DuckDBPyConnection, project: str, settings: Settings, datasets: Datasets
) -> dict[str, list[Row]]:
    """Return {items, comparisons}: every blind test, newest first, and comparisons of a size fixed beforehand."""
    adapters = list_adapters(cursor, project)["items"]
    tests = _tests(model_story(cursor, project)[0])
    shown, votes = _read(cursor, project)
    trained = _TrainedGroups(datasets, adapters)
    items: list[Row] = []
    for test in tests:
        rule = Rule(k=test.k, min_picks=settings.promote_min_picks, min_rate=settings.promote_min_rate)
        mine = [vote for vote in votes if _belongs(shown[vote["interaction_key"]], test)]
        by_sampling: dict[str | None, list[Row]] = defaultdict(list)
        for vote in mine:
            by_sampling[shown[vote["interaction_key"]].sampling].append(vote)
        for sampling, own in sorted(by_sampling.items(), key=lambda item: -len(item[1])) or [(None, [])]:
            items.append(_item(test, rule, sampling, own, shown, trained))
    return {"items": items[::-1], "comparisons": _comparisons(votes, shown, trained)}


def _tests(facts: Iterable[Row]) -> list[Test]:
    """Return the tests in the order they were registered; `k` counts those against the same champion."""
    story = [(fact["type"].removeprefix("model."), fact["body"], _moment(fact)) for fact in facts]
    against: Counter[str] = Counter()
    tests = []
    for index, (kind, body, at) in enumerate(story):
        if kind != "challenger":
            continue
        baseline = body.get("baseline") or "base"
        against[baseline] += 1
        ends = ((k, b, t) for k, b, t in story[index + 1 :] if b["adapter_id"] == body["adapter_id"] and k in _ENDS)
        ended_by, last, end = next(ends, (None, body, None))
        # A fact that carries the test's figures was its decision; without them a person decided over it.
        decided = _DECISIONS.get(str(ended_by)) if "support" in last.get("metrics", {}) else None
        tests.append(Test(body["adapter_id"], baseline, against[baseline], at, end, ended_by, decided))
    return tests


def _moment(fact: Row) -> int:
    """Return when a fact became true: the trainer appends it after the alias moved, after a crash much later."""
    return min(micros(fact["occurred_at"]), micros(fact["received_at"]))


def _read(cursor: duckdb.DuckDBPyConnection, project: str) -> tuple[dict[Any, Shown], list[Row]]:
    near: dict[Any, set[str]] = defaultdict(set)
    for row in rows(cursor, _NEAR, {"project": project}):
        if row["prompt_hash"] is not None:
            near[row["interaction_key"]].add(row["prompt_hash"].hex)
    shown: dict[Any, Shown] = {}
    votes = rows(cursor, _VOTES, {"project": project})
    for vote in votes:
        key = vote["interaction_key"]
        if key not in shown:
            groups = near.get(key, set()) | ({vote["prompt_hash"].hex} if vote["prompt_hash"] else set())
            if vote["conversation_id"]:
                groups.add(f"conversation:{vote['conversation_id']}")
            shown[key] = Shown(vote["interaction_id"], parse_json(vote["trial"]), frozenset(groups))
    for row in rows(cursor, _REPLIES, {"project": project}):
        if interaction := shown.get(row["interaction_key"]):
            interaction.models[row["candidate_id"]] = row["model"] or ""
            interaction.texts[row["candidate_id"]] = normalise(row["content"] or "")
    return shown, votes


def _belongs(shown: Shown, test: Test) -> bool:
    return bool(shown.trial["challenger"] == test.challenger and shown.trial["baseline"] == test.baseline)


class _TrainedGroups:
    """The prompt groups an adapter or one of its ancestors was trained on; None when a training set is gone."""

    def __init__(self, datasets: Datasets, adapters: list[Row]) -> None:
        self._datasets = datasets
        self._adapters = adapters
        self._by_id = {adapter["adapter_id"]: adapter for adapter in adapters}
        self._known: dict[str, frozenset[str] | None] = {}

    def of(self, adapter_id: str) -> frozenset[str] | None:
        if adapter_id not in self._known:
            self._known[adapter_id] = self._read(adapter_id)
        return self._known[adapter_id]

    def _read(self, adapter_id: str) -> frozenset[str] | None:
        found: set[str] = set()
        for ancestor in ancestors(self._adapters, adapter_id):
            dataset_id = self._by_id.get(ancestor, {}).get("dataset_id")
            if dataset_id:
                groups = self._datasets.prompt_groups(dataset_id)
                if groups is None:
                    return None
                found |= groups
        return frozenset(found)


def _why_not(vote: Row, shown: Shown, test: Test, trained: _TrainedGroups) -> str | None:
    """Return why a pick does not count for this test, or None."""
    if vote["arrived"] < test.start:
        return "before_registration"
    if test.end is not None and vote["arrived"] >= test.end:
        return "after_end"
    if not shown.trial["counted"]:
        return "not_counted"
    return _unfit(vote, shown, test.challenger, test.baseline, trained)


def _unfit(vote: Row, shown: Shown, challenger: str, baseline: str, trained: _TrainedGroups) -> str | None:
    if not vote["verified"]:
        return "unverified"
    if not voting.balanced(vote["shown"] or (), shown.models, challenger, baseline):
        return "unbalanced"
    groups = trained.of(challenger)
    if groups is None:
        return "unknown_training_set"
    return "trained_prompt" if groups & shown.groups else None


def _ballots(
    votes: Iterable[Row], shown: Mapping[Any, Shown], kind: str, refuse: Callable[[Row, Shown], str | None]
) -> tuple[list[Ballot], Counter[str]]:
    """Return the ballots of the votes that count, and how many others there are by reason."""
    ballots: list[Ballot] = []
    excluded: Counter[str] = Counter()
    for vote in votes:
        interaction = shown[vote["interaction_key"]]
        ids = (interaction.interaction_id, vote["actor_id"], vote["event_id"])
        moment = (min(vote["occurred"], vote["arrived"]), vote["occurred"], vote["event_id"])
        if vote["type"] == "retract":
            ballots.append(Ballot(*ids, vote["arrived"], moment, retracts=vote["target"]))
        elif vote["type"] == kind:
            if reason := refuse(vote, interaction):
                excluded[reason] += vote["state"] == "vote"
                continue
            side = voting.side_of(
                vote["outcome"], vote["chosen"], interaction.models, interaction.texts, interaction.trial["challenger"]
            )
            ballots.append(Ballot(*ids, vote["arrived"], moment, side))
    return ballots, +excluded


def _item(
    test: Test, rule: Rule, sampling: str | None, votes: list[Row], shown: Mapping[Any, Shown],
    trained: _TrainedGroups,
) -> Row:  # fmt: skip
    def refuse(vote: Row, interaction: Shown) -> str | None:
        return _why_not(vote, interaction, test, trained)

    ballots, excluded = _ballots(votes, shown, "pick", refuse)
    in_time = [b for b in ballots if b.arrived >= test.start and (test.end is None or b.arrived < test.end)]
    found = replay(in_time, rule)
    state = found.state
    if state == "running" and test.ended_by is not None:
        # A decision stands, also where its voters have been forgotten since.
        state = test.decided or "held"
    choices, _ = _ballots(votes, shown, "choice", refuse)
    apart = voting.count(choices)
    return {
        "challenger": test.challenger, "baseline": test.baseline, **_figures(found),
        "rate": found.weighted_rate, "interval": found.interval, "e_value": max(found.e_plus, found.e_minus),
        "band": band(found.weighted_rate, found.interval, found.n, rule.min_picks), "raters": found.raters,
        "k": test.k,
        "needed": {"e": rule.needed_e, "n": rule.min_picks, "rate": rule.min_rate, "at_most": rule.max_picks},
        "state": state, "scope": "these_raters", "ended_by": test.ended_by,
        "sampling": json.loads(sampling) if sampling else None, "excluded": dict(sorted(excluded.items())),
        "choices": _figures(apart), "registered_at": _time(test.start),
        "decided_at": None if found.decided_at is None else _time(found.decided_at),
    }  # fmt: skip


def _figures(counts: Tally | Decision) -> Row:
    return {
        "wins": counts.wins, "losses": counts.losses, "ties": counts.ties, "none": counts.none, "n": counts.n,
        "rate": counts.wins / counts.n if counts.n else None,
    }  # fmt: skip


def _time(moment_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=moment_us)


def _comparisons(votes: list[Row], shown: Mapping[Any, Shown], trained: _TrainedGroups) -> list[Row]:
    """Return picks outside a promotion test by what they compare: reported with Wilson's interval, deciding nothing."""
    by_sides: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for vote in votes:
        interaction = shown[vote["interaction_key"]]
        trial = interaction.trial
        if not trial["counted"]:
            by_sides[trial["challenger"], trial["baseline"], interaction.sampling].append(vote)
    found = []
    for (challenger, baseline, sampling), own in sorted(by_sides.items()):

        def refuse(vote: Row, interaction: Shown, sides: tuple[str, str] = (challenger, baseline)) -> str | None:
            return _unfit(vote, interaction, *sides, trained)

        ballots, excluded = _ballots(own, shown, "pick", refuse)
        tally = voting.count(ballots)
        if tally.n or tally.ties or tally.none:
            found.append({
                "challenger": challenger, "baseline": baseline, **_figures(tally),
                "interval": intervals.wilson(tally.wins, tally.n),
                "band": band(tally.rate, intervals.anytime_interval(tally.wins, tally.losses), tally.n),
                "raters": len(tally.by_rater),
                "sampling": json.loads(sampling), "excluded": dict(sorted(excluded.items())),
            })  # fmt: skip
    return found
