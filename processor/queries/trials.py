"""Blind tests: which there are, what their picks say, and what was decided (the rule is in trials/).

One process per challenger and baseline, on one sampling setting: that of its first pick that counts. Its picks are
never carried over. `conceal` takes out what raters must not see while it runs.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from processor.queries.ballots import Shown, TrainedGroups, read_votes, to_ballots, unfit
from processor.queries.datasets import Datasets
from processor.queries.facts import list_adapters, model_story
from processor.queries.reading import EPOCH, Row, micros, rows
from runtime.settings import Settings
from trials import intervals
from trials import votes as voting
from trials.evidence import Evidence
from trials.process import WHOLE_PROJECT, Kind
from trials.rule import RULE_VERSION, Decision, Rule, State, Tally, band
from trials.trial import Trial
from trials.votes import Ballot

_OFFSETS = 'SELECT topic, "partition", next_offset FROM offsets ORDER BY topic, "partition"'
# Facts about a challenger after which its test is over.
_DECISIONS: dict[str, State] = {"promoted": "promote", "rejected": "reject"}
_ENDS = frozenset({"held", "rejected", "promoted", "rolled_back", "challenger"})
# What a rater who sees it could vote by; the rest of an item says that a test runs and how many picks it needs.
CONCEALED = (
    "wins", "losses", "ties", "none", "rate", "unweighted_rate", "interval", "e_value", "e_plus", "e_minus", "band",
    "choices", "by_label", "by_kind", "by_rater", "reason",
)  # fmt: skip
# A label of fewer picks says nothing; so many event ids of a reason are kept with a decision.
MIN_LABEL_PICKS = 40
MAX_EXCLUDED_IDS = 1000


@dataclass(frozen=True)
class Test:
    """One registration of a challenger: from its fact until the fact that ends it (microseconds).

    A test of kind rollback asks whether the champion is worse than its predecessor: from the champion's promotion on,
    and on picks that were asked for outside a promotion test (`compare`), the predecessor being the side that must win.
    """

    challenger: str
    baseline: str
    start: int
    end: int | None
    ended_by: str | None
    labels: tuple[str, ...] = ()
    decided: State | None = None
    fact: Row | None = None
    kind: Kind = "promotion"


@dataclass(frozen=True)
class Votes:
    """What the tables hold of a project's blind tests; `changes` are the facts about its models, in log order."""

    changes: list[Row]
    shown: Mapping[Any, Shown]
    votes: list[Row]
    trained: TrainedGroups


def list_support(
    cursor: duckdb.DuckDBPyConnection, project: str, settings: Settings, datasets: Datasets,
    now: datetime | None = None,
) -> dict[str, list[Row]]:  # fmt: skip
    """Return {items, rollbacks, comparisons}: blind tests, newest first; whether the champion is worse than its

    predecessor; and comparisons of a size fixed beforehand.
    """
    found = _read(cursor, project, datasets)
    moment = _micros(now or datetime.now(UTC))
    items = [item for _, item in _counted_tests(found, settings, moment)]
    doubts = [_Count(test, _rule_of(settings, 1), found, now=moment).item() for test in list_doubts(found.changes)]
    return {"items": items[::-1], "rollbacks": doubts, "comparisons": _comparisons(found)}


def _counted_tests(found: Votes, settings: Settings, now: int) -> list[tuple[_Count, Row]]:
    """Return every blind test, in the order they were registered, with its item; `now` in microseconds."""
    counted: list[tuple[_Count, Row]] = []
    against: Counter[str] = Counter()
    for test in _list_tests(found.changes):
        count = _Count(test, _rule_of(settings, against[test.baseline] + 1), found, now=now)
        item = count.item()
        against[test.baseline] += item["counted"] > 0
        counted.append((count, item))
    return counted


def recount(
    cursor: duckdb.DuckDBPyConnection, project: str, settings: Settings, datasets: Datasets, adapter_id: str
) -> Row | None:
    """Return {item, decided, recount, gone} of an adapter's newest blind test, or None where it had none.

    `decided` is what the fact of its decision says it was decided on, `recount` the same figures counted anew from the
    tables, which are a function of the log; `gone` is how many of the picks counted then have been forgotten since.
    """
    counted = _counted_tests(_read(cursor, project, datasets), settings, _micros(datetime.now(UTC)))
    newest = next((one for one in reversed(counted) if one[0].test.challenger == adapter_id), None)
    if newest is None:
        return None
    count, item = newest
    decided = (count.test.fact or {}).get("metrics", {}).get("support")
    figures = {name: item[name] for name in ("wins", "losses", "ties", "none", "rate", "e_plus", "e_minus", "counted")}
    gone = None
    if decided is not None and decided.get("counted") is not None:
        until = _micros(datetime.fromisoformat(decided["decided_at"])) if decided.get("decided_at") else None
        gone = max(0, int(decided["counted"]) - _voters(count.counted(until)))
    return {"item": item, "decided": decided, "recount": figures, "gone": gone}


def basis(cursor: duckdb.DuckDBPyConnection) -> Row:
    """Return what a decision of this moment is made on: the rule's version, and the next offset of each partition."""
    offsets: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows(cursor, _OFFSETS):
        offsets[row["topic"]][str(row["partition"])] = row["next_offset"]
    return {"rule_version": RULE_VERSION, "offsets": offsets}


def _rule_of(settings: Settings, k: int) -> Rule:
    """Return the rule for the k-th challenger, with this installation's settings."""
    return Rule(
        k=k, min_picks=settings.promote_min_picks, min_rate=settings.promote_min_rate,
        rater_wait_days=settings.rater_wait_days, trial_days=settings.trial_days,
    )  # fmt: skip


def conceal(item: Row) -> Row:
    """Return an item as raters may see it: of a test that runs, no figure that says who is ahead."""
    if item["state"] != "running":
        return {**item, "concealed": False}
    hidden: Row = dict.fromkeys(CONCEALED)
    return {**item, **hidden, "excluded": None, "excluded_ids": None, "concealed": True}


def _list_tests(changes: Iterable[Row]) -> list[Test]:
    """Return the tests in the order they were registered."""
    story = [(fact["type"].removeprefix("model."), fact["body"], _moment(fact)) for fact in changes]
    tests = []
    for index, (kind, body, at) in enumerate(story):
        if kind != "challenger":
            continue
        ends = ((k, b, t) for k, b, t in story[index + 1 :] if b["adapter_id"] == body["adapter_id"] and k in _ENDS)
        ended_by, last, end = next(ends, (None, body, None))
        # A fact that carries the test's figures was its decision; without them a person decided over it.
        decided = _DECISIONS.get(str(ended_by)) if "support" in last.get("metrics", {}) else None
        labels = tuple((body.get("metrics") or {}).get("labels") or ())
        tests.append(Test(
            body["adapter_id"], body.get("baseline") or "base", at, end, ended_by, labels, decided,
            last if ended_by else None,
        ))  # fmt: skip
    return tests


def list_doubts(changes: Iterable[Row]) -> list[Test]:
    """Return the test of the champion against its predecessor, or none while the base answers."""
    stack: list[tuple[str, int]] = [("base", 0)]
    for fact in changes:
        kind, adapter_id = fact["type"].removeprefix("model."), fact["body"]["adapter_id"]
        if kind == "promoted":
            stack.append((adapter_id, _moment(fact)))
        elif kind == "rolled_back" and len(stack) > 1:
            stack.pop()
    if len(stack) < 2:
        return []
    (predecessor, _), (champion, since) = stack[-2:]
    return [Test(predecessor, champion, since, None, None, kind="rollback")]


def _moment(fact: Row) -> int:
    """Return when a fact became true: the trainer appends it after the alias moved, after a crash much later."""
    return min(micros(fact["occurred_at"]), micros(fact["received_at"]))


def _read(cursor: duckdb.DuckDBPyConnection, project: str, datasets: Datasets) -> Votes:
    adapters = list_adapters(cursor, project)["items"]
    return Votes(model_story(cursor, project)[0], *read_votes(cursor, project), TrainedGroups(datasets, adapters))


class _Count:
    """Counts one test."""

    def __init__(self, test: Test, rule: Rule, found: Votes, *, now: int) -> None:
        self.test, self._rule, self._found, self._now = test, rule, found, now
        shown = found.shown
        self._votes = [vote for vote in found.votes if _belongs(shown[vote["interaction_key"]], test)]
        self._sampling = next(
            (
                shown[vote["interaction_key"]].sampling
                for vote in self._votes
                if vote["type"] == "pick" and self._why_not(vote, shown[vote["interaction_key"]]) is None
            ),
            None,
        )
        self._picks = self._ballots("pick", self._refuse)

    def _why_not(self, vote: Row, shown: Shown) -> str | None:
        test = self.test
        if vote["arrived"] < test.start:
            return "before_registration"
        if test.end is not None and vote["arrived"] >= test.end:
            return "after_end"
        if self.test.kind == "promotion" and not shown.trial["counted"]:
            return "not_counted"
        if test.labels and not set(test.labels) & set(shown.labels):
            return "other_labels"
        if test.kind == "rollback" and (self._found.trained.of(test.baseline) or frozenset()) & shown.groups:
            return "trained_prompt"
        return unfit(vote, shown, test.challenger, test.baseline, self._found.trained)

    def _refuse(self, vote: Row, shown: Shown) -> str | None:
        reason = self._why_not(vote, shown)
        return "other_settings" if reason is None and shown.sampling != self._sampling else reason

    def _ballots(self, kind: str, refuse: Callable[[Row, Shown], str | None]) -> list[Ballot]:
        return to_ballots(self._votes, self._found.shown, kind, refuse)

    def item(self) -> Row:
        """Return the test with everything it is decided on."""
        test, rule, ballots = self.test, self._rule, self._picks
        until = min(self._now, test.end) if test.end is not None else self._now
        in_time = [b for b in ballots if test.start <= b.arrived and (test.end is None or b.arrived < test.end)]
        trial = Trial(rule, test.start)
        for ballot in voting.in_order(in_time):
            if trial.take(ballot) != "running":
                break
        found = trial.decision(until)
        state, decided_at = found.state, found.decided_at
        apart = _out_of_time(ballots, test, decided_at)
        excluded = Counter(found.excluded) + Counter(apart.values())
        if test.ended_by is not None and (state == "running" or test.decided is not None):
            # A decision stands, also where its voters have been forgotten since.
            state = test.decided or "held"
        counted = self.counted(decided_at)
        choices = voting.count([b for b in self._ballots("choice", self._why_not) if b.excluded is None])
        return {
            "challenger": test.challenger, "baseline": test.baseline, **_figures(found), "rate": found.weighted_rate,
            "unweighted_rate": found.wins / found.n if found.n else None, "interval": found.interval,
            "e_value": max(found.e_plus, found.e_minus), "e_plus": found.e_plus, "e_minus": found.e_minus,
            "band": band(found.weighted_rate, found.interval, found.n, rule.min_picks), "raters": found.raters,
            "others": found.others, "k": rule.k,
            "needed": {
                "e": rule.needed_e, "n": rule.min_picks, "rate": rule.min_rate, "at_most": rule.max_picks,
                "others": rule.min_others, "days": rule.trial_days, "picks": found.picks_needed,
                "more": found.more_picks,
            },
            "state": state, "reason": {"key": found.reason.key, **found.reason.numbers},
            "kind": test.kind,
            "scope": "these_raters" if found.raters < 2 else "raters_like_these", "trial_scope": WHOLE_PROJECT,
            "labels": list(test.labels), "ended_by": test.ended_by,
            "sampling": json.loads(self._sampling) if self._sampling else None,
            "counted": _voters(counted),
            "excluded": dict(sorted(excluded.items())), "excluded_ids": _ids(trial.why_not() | apart),
            "choices": _figures(choices),
            "by_rater": _by_rater(found.by_rater) if state != "running" else None,
            "by_kind": self._by_kind(counted), "by_label": self._by_label(counted),
            "registered_at": _time(test.start), "decided_at": None if decided_at is None else _time(decided_at),
            "ends_at": _time(test.start + round(rule.trial_days * 86_400_000_000)), "rule_version": RULE_VERSION,
        }  # fmt: skip

    def counted(self, until: int | None) -> list[Ballot]:
        """Return the picks that may count, up to a moment in microseconds, or all."""
        test = self.test
        last = min(moment for moment in (test.end and test.end - 1, until, 2**63) if moment is not None)
        return [b for b in self._picks if b.excluded is None and b.retracts is None and test.start <= b.arrived <= last]

    def _by_kind(self, counted: list[Ballot]) -> list[Row]:
        """Return the figures by what the raters are: users, staff, experts."""
        kinds = {vote["event_id"]: vote["actor_kind"] for vote in self._votes}
        return _parts(counted, lambda ballot: (kinds[ballot.event_id],))

    def _by_label(self, counted: list[Ballot]) -> list[Row]:
        """Return the figures by label of the interaction, as it was logged when its replies were issued."""
        labels = {shown.interaction_id: shown.labels for shown in self._found.shown.values()}
        return _parts(counted, lambda ballot: labels[ballot.interaction_id])


def _voters(picks: Iterable[Ballot]) -> int:
    """Return by how many people on how many interactions picks are: a changed one is no other."""
    return len({(pick.interaction_id, pick.actor_id) for pick in picks})


def _belongs(shown: Shown, test: Test) -> bool:
    return bool(shown.trial["challenger"] == test.challenger and shown.trial["baseline"] == test.baseline)


def _parts(counted: Iterable[Ballot], names: Callable[[Ballot], Iterable[str]]) -> list[Row]:
    """Return the counts of parts of a test, each with its own anytime interval; they decide nothing."""
    apart: dict[str, list[Ballot]] = defaultdict(list)
    for ballot in counted:
        for name in names(ballot):
            apart[name].append(replace(ballot, frozen=False))
    found = []
    for name, own in sorted(apart.items()):
        tally = voting.count(own)
        evidence = Evidence.of(tally.raters)
        found.append({
            "name": name, **_figures(tally), "rate": evidence.rate, "interval": evidence.interval(),
            "raters": len(tally.by_rater), "enough": tally.n >= MIN_LABEL_PICKS,
        })  # fmt: skip
    return found


def _out_of_time(ballots: Iterable[Ballot], test: Test, decided_at: int | None) -> dict[str, str]:
    """Return the events of picks that came too early or too late, each with its reason; the last of an actor's."""
    end = min(moment for moment in (test.end, decided_at and decided_at + 1, 2**63) if moment is not None)
    apart = [b for b in ballots if b.retracts is None and not test.start <= b.arrived < end]
    latest = {(b.interaction_id, b.actor_id): b for b in apart}
    return {b.event_id: b.excluded or "after_end" for b in latest.values()}


def _by_rater(raters: Mapping[str, tuple[int, int]]) -> list[Row]:
    return [
        {
            "actor": name, "wins": wins, "losses": losses, "n": wins + losses, "rate": wins / (wins + losses),
            "interval": intervals.anytime_interval(wins, losses),
        }
        for name, (wins, losses) in raters.items()
    ]  # fmt: skip


def _ids(reasons: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the events of the picks that do not count by their reason, at most so many of each."""
    found: dict[str, list[str]] = defaultdict(list)
    for event_id, reason in sorted(reasons.items()):
        if len(found[reason]) < MAX_EXCLUDED_IDS:
            found[reason].append(event_id)
    return dict(sorted(found.items()))


def _figures(counts: Tally | Decision) -> Row:
    return {
        "wins": counts.wins, "losses": counts.losses, "ties": counts.ties, "none": counts.none, "n": counts.n,
        "rate": counts.wins / counts.n if counts.n else None,
    }  # fmt: skip


def _time(moment_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=moment_us)


def _micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _comparisons(found: Votes) -> list[Row]:
    """Return picks outside a promotion test by what they compare: reported with Wilson's interval, deciding nothing."""
    by_sides: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for vote in found.votes:
        interaction = found.shown[vote["interaction_key"]]
        trial = interaction.trial
        if not trial["counted"]:
            by_sides[trial["challenger"], trial["baseline"], interaction.sampling].append(vote)
    items = []
    for (challenger, baseline, sampling), own in sorted(by_sides.items()):

        def refuse(vote: Row, shown: Shown, sides: tuple[str, str] = (challenger, baseline)) -> str | None:
            return unfit(vote, shown, *sides, found.trained)

        tally = voting.count(to_ballots(own, found.shown, "pick", refuse))
        if tally.n or tally.ties or tally.none:
            items.append({
                "challenger": challenger, "baseline": baseline, **_figures(tally),
                "interval": intervals.wilson(tally.wins, tally.n),
                "band": band(tally.rate, intervals.anytime_interval(tally.wins, tally.losses), tally.n),
                "raters": len(tally.by_rater), "sampling": json.loads(sampling), "excluded": dict(tally.excluded),
            })  # fmt: skip
    return items
