"""Support rate: how often people pick the challenger's reply over its baseline's, and what that decides.

Pure functions. In: ballots (picks and retractions of one blind test, in any order). Out: a Tally with the counts, the
e-value, the interval that stays valid while one watches, the band and the decision.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

Side = Literal["win", "loss", "tie", "none"]
State = Literal["running", "promote", "reject", "held"]
Interval = tuple[float, float]

ALPHA = 0.05
NEEDED_E = 1 / ALPHA
MIN_PICKS = 40
MAX_PICKS = 400
MIN_RATE = 0.55
MIN_RATERS = 5
# Median decisive picks until E reaches 20, by the true support rate (simulated; the test repeats it).
MEDIAN_PICKS = {0.8: 19, 0.7: 47, 0.6: 210}
_EDGE = 1e-12


@dataclass(frozen=True)
class Ballot:
    """One pick as it arrived, or (with `retracts`) the undo of one.

    `arrived` and `moment` are microseconds; votes are counted by `moment` (the latest of an actor wins) in the order
    in which they arrived.
    """

    interaction_id: str
    actor_id: str
    event_id: str
    arrived: int
    moment: tuple[int, int, str]
    side: Side = "none"
    retracts: str | None = None


@dataclass(frozen=True)
class Rule:
    """What a promotion needs. `k`: this is the k-th challenger against the same champion."""

    k: int = 1
    min_picks: int = MIN_PICKS
    max_picks: int = MAX_PICKS
    min_rate: float = MIN_RATE
    min_raters: int = MIN_RATERS

    @property
    def needed_e(self) -> float:
        """Return 20 k^2: the sum of 1 / (20 k^2) over all challengers stays below 9 %."""
        return NEEDED_E * self.k**2


@dataclass
class Tally:
    """The counts of a test up to its decision, or up to now."""

    wins: int = 0
    losses: int = 0
    ties: int = 0
    none: int = 0
    by_rater: dict[str, tuple[int, int]] = field(default_factory=dict)
    state: State = "running"
    decided_at: int | None = None

    @property
    def n(self) -> int:
        """Return the decisive picks."""
        return self.wins + self.losses

    @property
    def rate(self) -> float | None:
        """Return the support rate, or None without a decisive pick."""
        return self.wins / self.n if self.n else None


def log_e_value(wins: int, losses: int) -> float:
    """Return the natural logarithm of `e_value`."""
    n = wins + losses
    return n * math.log(2) + math.lgamma(wins + 1) + math.lgamma(losses + 1) - math.lgamma(n + 2)


def e_value(wins: int, losses: int) -> float:
    """Return E = 2^n w! l! / (n+1)!: the Bayes factor of a uniform support rate against 1/2.

    Under 1/2 it is a test martingale (Ville's inequality), so E >= 20 happens in at most 5 % of tests, however often
    one looks. The logarithm is capped where a float ends.
    """
    return math.exp(min(log_e_value(wins, losses), 700.0))


def anytime_interval(wins: int, losses: int, alpha: float = ALPHA) -> Interval:
    """Return the support rates p with w! l! / ((n+1)! p^w (1-p)^l) < 1 / alpha.

    It holds at every look at once, and excludes 1/2 exactly when the e-value reaches 1 / alpha.
    """
    n = wins + losses
    if n == 0:
        return (0.0, 1.0)
    limit = -math.log(alpha)
    base = math.lgamma(wins + 1) + math.lgamma(losses + 1) - math.lgamma(n + 2)

    def excess(p: float) -> float:
        return base - wins * math.log(p) - losses * math.log1p(-p) - limit

    best = min(max(wins / n, _EDGE), 1 - _EDGE)
    low = 0.0 if wins == 0 else float(brentq(excess, _EDGE * _EDGE, best, xtol=1e-12))
    high = 1.0 if losses == 0 else float(brentq(excess, best, 1 - 1e-15, xtol=1e-12))
    return (low, high)


def wilson(wins: int, n: int, alpha: float = ALPHA) -> Interval:
    """Return Wilson's score interval for a share of a size fixed beforehand (Wilson 1927)."""
    if n == 0:
        return (0.0, 1.0)
    z = float(ndtri(1 - alpha / 2))
    p = wins / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (max(0.0, middle - half), min(1.0, middle + half))


def clustered_interval(by_rater: Mapping[str, tuple[int, int]], alpha: float = ALPHA) -> Interval | None:
    """Return the rater-clustered interval of wins / decisive votes, or None with fewer than two raters.

    `by_rater`: (wins, losses) of each. Linearised variance of a ratio over clusters, m / (m-1) sum (w_j - p n_j)^2 /
    n^2, with t quantiles on m - 1 degrees of freedom (Cochran, Sampling Techniques, section 9).
    """
    clusters = [(wins, wins + losses) for wins, losses in by_rater.values() if wins + losses]
    m = len(clusters)
    total = sum(n for _, n in clusters)
    if m < 2:
        return None
    rate = sum(wins for wins, _ in clusters) / total
    variance = m / (m - 1) * sum((wins - rate * n) ** 2 for wins, n in clusters) / total**2
    half = float(stdtrit(m - 1, 1 - alpha / 2)) * math.sqrt(variance)
    return (max(0.0, rate - half), min(1.0, rate + half))


def band(wins: int, losses: int, min_picks: int = MIN_PICKS) -> str:
    """Return the band of w / n: not_enough_data, no_progress, harmful, weak, success or large_gain."""
    n = wins + losses
    if n < min_picks:
        return "not_enough_data"
    low, high = anytime_interval(wins, losses)
    if low <= 0.5 <= high:
        return "no_progress"
    rate = wins / n
    if rate < 0.5:
        return "harmful"
    if rate < 0.7:
        return "weak"
    return "success" if rate <= 0.8 else "large_gain"


def side_of(
    outcome: str, chosen: str | None, models: Mapping[str, str], texts: Mapping[str, str], challenger: str
) -> Side:
    """Return what one pick says. `models` and `texts` (normalised) are by candidate id.

    A chosen text that both models wrote is a tie.
    """
    if outcome == "tie":
        return "tie"
    if outcome != "chosen" or chosen is None or chosen not in models:
        return "none"
    writers = {models[other] for other, text in texts.items() if text == texts[chosen]}
    if len(writers) > 1:
        return "tie"
    return "win" if models[chosen] == challenger else "loss"


def balanced(shown: Sequence[str], models: Mapping[str, str], challenger: str, baseline: str) -> bool:
    """Say whether both sides showed the same number of replies, and nobody else any."""
    sides = Counter(models.get(candidate) for candidate in shown)
    return set(sides) == {challenger, baseline} and sides[challenger] == sides[baseline]


def outcome_of(votes: Iterable[Side]) -> Side | None:
    """Return the one outcome of an interaction: what most of its raters say, else a tie; None without a vote."""
    return _majority(Counter(votes))


def _majority(counts: Counter[Side]) -> Side | None:
    total = counts.total()
    if not total:
        return None
    side, most = counts.most_common(1)[0]
    return side if most * 2 > total else "tie"


def decide(tally: Tally, rule: Rule) -> State:
    """Return what the counts decide, looked at after each vote; the caller keeps the first decision.

    Promote: E >= 20 k^2, w > l, n >= 40, w / n >= the minimal rate and, with several raters, at least five of them and
    their clustered interval above 1/2. Reject: E >= 20 k^2 and w < l. Held: undecided after 400 decisive picks.
    """
    if log_e_value(tally.wins, tally.losses) >= math.log(rule.needed_e):
        if tally.wins < tally.losses:
            return "reject"
        enough = tally.n >= rule.min_picks and tally.wins >= rule.min_rate * tally.n
        if enough and raters_agree(tally, rule):
            return "promote"
    return "held" if tally.n >= rule.max_picks else "running"


def raters_agree(tally: Tally, rule: Rule) -> bool:
    """Say whether these raters may carry the result: one alone, or five and more with an interval above 1/2."""
    if len(tally.by_rater) < 2:
        return True
    interval = clustered_interval(tally.by_rater)
    return len(tally.by_rater) >= rule.min_raters and interval is not None and interval[0] > 0.5


def count(ballots: Iterable[Ballot], rule: Rule | None = None) -> Tally:
    """Replay the ballots in the order they arrived and stop at the first decision (never, without a rule).

    A vote given or changed after the decision does not count.
    """
    votes = _Votes()
    for ballot in sorted(ballots, key=lambda b: (b.arrived, b.event_id)):
        votes.take(ballot)
        if rule is None or not votes.may_decide(rule):
            continue
        tally = votes.tally()
        tally.state = decide(tally, rule)
        if tally.state != "running":
            tally.decided_at = ballot.arrived
            return tally
    return votes.tally()


class _Votes:
    """The votes in force: by interaction, by actor; the latest moment wins, a retracted latest leaves none."""

    def __init__(self) -> None:
        self._latest: dict[tuple[str, str], Ballot] = {}
        self._retracted: set[str] = set()
        # Who voted with which event, by interaction; one issued pick may come under any number of names.
        self._actors: dict[tuple[str, str], str] = {}
        self._sides: dict[str, dict[str, Side]] = defaultdict(dict)
        self._by_side: dict[str, Counter[Side]] = defaultdict(Counter)
        self._outcomes: dict[str, Side] = {}
        self._counts: Counter[str] = Counter()

    def take(self, ballot: Ballot) -> None:
        if ballot.retracts is not None:
            self._retracted.add(ballot.retracts)
        else:
            self._actors[ballot.interaction_id, ballot.event_id] = ballot.actor_id
            held = self._latest.get((ballot.interaction_id, ballot.actor_id))
            if held is None or ballot.moment > held.moment:
                self._latest[ballot.interaction_id, ballot.actor_id] = ballot
        if (vote := self._vote_of(ballot)) is not None:
            self._place(vote)

    def _vote_of(self, ballot: Ballot) -> Ballot | None:
        """Return the vote in force that the ballot may change: its actor's, or the one it takes back."""
        if ballot.retracts is None:
            return self._latest[ballot.interaction_id, ballot.actor_id]
        actor = self._actors.get((ballot.interaction_id, ballot.retracts))
        vote = None if actor is None else self._latest[ballot.interaction_id, actor]
        return vote if vote is not None and vote.event_id == ballot.retracts else None

    def _place(self, vote: Ballot) -> None:
        sides, by_side = self._sides[vote.interaction_id], self._by_side[vote.interaction_id]
        if (was := sides.pop(vote.actor_id, None)) is not None:
            by_side[was] -= 1
        if vote.event_id not in self._retracted:
            sides[vote.actor_id] = vote.side
            by_side[vote.side] += 1
        before = self._outcomes.pop(vote.interaction_id, None)
        if before:
            self._counts[before] -= 1
        after = _majority(by_side)
        if after:
            self._outcomes[vote.interaction_id] = after
            self._counts[after] += 1

    def may_decide(self, rule: Rule) -> bool:
        """Say whether the counts alone leave a decision open; without it no look at the raters is needed."""
        wins, losses = self._counts["win"], self._counts["loss"]
        return wins + losses >= rule.max_picks or log_e_value(wins, losses) >= math.log(rule.needed_e)

    def tally(self) -> Tally:
        raters: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for sides in self._sides.values():
            for actor, side in sides.items():
                if side in ("win", "loss"):
                    raters[actor][side == "loss"] += 1
        counts = self._counts
        return Tally(
            counts["win"], counts["loss"], counts["tie"], counts["none"],
            {actor: (wins, losses) for actor, (wins, losses) in sorted(raters.items())},
        )  # fmt: skip
